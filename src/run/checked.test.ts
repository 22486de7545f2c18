import { afterEach, describe, expect, test } from "vitest";
import { buildProbe, prepareModel } from "../graph/index.js";
import { CheckedMachine, type Checks } from "./checked.js";
import { createMachine } from "./machine.js";
import { Predictor } from "./predictor.js";
import type { Provider } from "./provider.js";
import type { Machine, RunResult, Session } from "./session.js";

/** Stands for a device: the CPU under another name, whose results may be spoilt. */
function pretend(provider: Provider, spoil: (result: RunResult) => RunResult) {
  const cpu = createMachine();
  started.push(cpu);
  let sessions = 0;
  const device: Machine = {
    provider,
    async createSession(...call): Promise<Session> {
      sessions++;
      const session = await cpu.createSession(...call);
      return { ...session, run: async (...run) => spoil(await session.run(...run)) };
    },
    writeState: (...call) => cpu.writeState(...call),
    readState: (...call) => cpu.readState(...call),
    dropState: (...call) => cpu.dropState(...call),
    memory: () => cpu.memory(),
    [Symbol.asyncDispose]: () => Promise.resolve(cpu[Symbol.asyncDispose]()),
  };
  return { machine: new CheckedMachine(device, checks), count: () => sessions };
}

/** Of their own: what only pretends to be a provider must not vouch for it in this process. */
const checks: Checks = new Map();
const started: Machine[] = [];
afterEach(async () => {
  for (const machine of started.splice(0)) await machine[Symbol.asyncDispose]();
});

const model = prepareModel(buildProbe());
const asIs = (result: RunResult): RunResult => result;
/** The largest output, the prediction, a little off. */
const off = (amount: number) => (result: RunResult) => {
  for (const { data, dims } of Object.values(result.outputs)) if (dims.length === 2) data[0] = Number(data[0]) + amount;
  return result;
};

describe("a machine whose provider is checked", () => {
  test("loads models once the check has passed, and checks once per process", async () => {
    const [first, second] = [pretend("cuda", asIs), pretend("cuda", asIs)];
    await Predictor.create(first.machine, model);
    await Predictor.create(second.machine, model);
    expect([first.count(), second.count()]).toEqual([2, 1]);
  });

  test("refuses a provider whose results are off by more than rounding, and says by what", async () => {
    const { machine, count } = pretend("webgpu", off(0.01));
    const refused = { code: "provider.refused", context: { provider: "webgpu" } };
    await expect(Predictor.create(machine, model)).rejects.toMatchObject(refused);
    await expect(Predictor.create(machine, model)).rejects.toThrow(/in place of .* in "logits"/);
    expect(count()).toBe(2); // both times the check alone
  });

  test("refuses a provider that does not run, with its reason, and gives the next machine another chance", async () => {
    const failing = pretend("wasm", () => {
      throw new Error("no device");
    });
    await expect(Predictor.create(failing.machine, model)).rejects.toMatchObject({
      code: "provider.refused",
      context: { reason: expect.stringContaining("no device") as string },
    });
    const { machine } = pretend("wasm", off(1e-5));
    await expect(Predictor.create(machine, model)).resolves.toBeInstanceOf(Predictor);
  });

  test("keeps its state apart from that of the check", async () => {
    const { machine } = pretend("wasm", asIs);
    const value = { dtype: "float32", dims: [2], data: Float32Array.of(1, 2) } as const;
    await machine.writeState([{ name: "probe", value }]);
    await Predictor.create(machine, model);
    expect(await machine.readState(["probe"])).toEqual(new Map([["probe", value]]));
  });
});

describe("createMachine", () => {
  test("refuses a provider that Node.js does not have, naming those it has", () => {
    const options = { provider: "wasm" } as object;
    expect(() => createMachine(options)).toThrow(/one of cpu, webgpu, cuda in Node\.js, got "wasm"/);
  });
});
