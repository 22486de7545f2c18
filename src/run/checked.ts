import type { Provider } from "./provider.js";
import type { Machine } from "./session.js";
import { checkProvider } from "./verify.js";

export type Checks = Map<Provider, Promise<unknown>>;

/** Providers that computed right in this process or page; one that did not gets another chance with the next machine. */
const ofProcess: Checks = new Map();

/** A machine that loads no model before its provider has computed a small training step right. The check warms up its kernels, too. */
export class CheckedMachine implements Machine {
  readonly provider: Provider;

  constructor(
    private readonly machine: Machine,
    private readonly checks = ofProcess,
  ) {
    this.provider = machine.provider;
  }

  async createSession(...call: Parameters<Machine["createSession"]>): ReturnType<Machine["createSession"]> {
    const { provider, machine, checks } = this;
    let check = checks.get(provider);
    if (!check) {
      check = checkProvider(machine);
      checks.set(provider, check);
      check.catch(() => checks.delete(provider));
    }
    await check;
    return machine.createSession(...call);
  }

  writeState(...call: Parameters<Machine["writeState"]>): Promise<void> {
    return this.machine.writeState(...call);
  }

  readState(...call: Parameters<Machine["readState"]>): ReturnType<Machine["readState"]> {
    return this.machine.readState(...call);
  }

  dropState(...call: Parameters<Machine["dropState"]>): Promise<void> {
    return this.machine.dropState(...call);
  }

  memory(): ReturnType<Machine["memory"]> {
    return this.machine.memory();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
  }
}
