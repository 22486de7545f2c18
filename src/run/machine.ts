import { platform } from "node:process";
import { Worker } from "node:worker_threads";
import { LimberError } from "../base/index.js";
import { writeModel } from "../graph/index.js";
import { NEGATE } from "./probe.js";
import type { WorkerData } from "./worker.js";
import { END, type Envelope, type Reply } from "./protocol.js";
import type { Provider } from "./provider.js";
import { RemoteMachine, workerEnded } from "./remote.js";
import { CheckedMachine } from "./checked.js";
import type { Machine } from "./session.js";

/** Providers of onnxruntime-node. */
export const NODE_PROVIDERS = ["cpu", "webgpu", "cuda"] as const satisfies readonly Provider[];
export type NodeProvider = (typeof NODE_PROVIDERS)[number];

export interface MachineOptions {
  /** What computes; default "cpu". Any other has to compute a small training step right before its first model. */
  readonly provider?: NodeProvider | undefined;
  /** `background` gives way to all else that runs, on Linux; elsewhere it is `normal`, since only whole processes have a priority there. */
  readonly priority?: "normal" | "background" | undefined;
}

/** Workers are plain JavaScript: from TypeScript sources (tests) the built file is used. */
const WORKER_URL = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/run/worker.js" : "./worker.js",
  import.meta.url,
);

/**
 * Starts a worker thread that runs models. Dispose it: the worker lives until then.
 * Throws: `config.invalid` for a provider that Node.js does not have; later, at the first session, `provider.refused`.
 */
export function createMachine({ provider = "cpu", priority = "normal" }: MachineOptions = {}): Machine {
  if (!NODE_PROVIDERS.includes(provider)) {
    const message = `provider: one of ${NODE_PROVIDERS.join(", ")} in Node.js, got "${provider as string}"`;
    throw new LimberError("config.invalid", message, { provider });
  }
  const machine = new WorkerMachine(provider, priority === "background" && platform === "linux");
  return provider === "cpu" ? machine : new CheckedMachine(machine);
}

class WorkerMachine extends RemoteMachine {
  private readonly worker: Worker;
  private readonly ended: Promise<unknown>;

  constructor(provider: NodeProvider, givesWay: boolean) {
    super(provider);
    const workerData: WorkerData = { provider, givesWay, probe: writeModel(NEGATE) };
    // flags of the main script are not for it: with --input-type it would not start
    this.worker = new Worker(WORKER_URL, { workerData, execArgv: [] });
    this.worker.on("message", (reply: Reply) => this.settle(reply));
    this.worker.on("error", (cause) => this.end(workerEnded(`"${cause.message}"`, cause)));
    this.worker.on("exit", (code) => this.end(workerEnded(`exit code ${code}`)));
    this.ended = new Promise((resolve) => this.worker.once("exit", resolve));
    this.worker.unref();
  }

  protected override post(envelope: Envelope, given: ArrayBuffer[]): void {
    this.worker.postMessage(envelope, given);
  }

  /** Keeps the process alive only while something is under way. */
  protected override onBusy(isBusy: boolean): void {
    if (isBusy) this.worker.ref();
    else this.worker.unref();
  }

  /** `Worker.terminate` while native code runs for the thread aborts the whole process (an N-API call that throws where nothing catches). */
  protected override async terminate(): Promise<void> {
    this.worker.ref();
    this.worker.postMessage(END);
    await this.ended;
  }

  protected override enter<T>(work: () => Promise<T>): Promise<T> {
    return this.provider === "webgpu" ? inTurn(work) : work();
  }
}

let last: Promise<unknown> = Promise.resolve();

/** Two native WebGPU sessions of a process must not run at the same time, whatever machines they belong to. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const done = last.then(work);
  last = done.catch(() => undefined);
  return done;
}
