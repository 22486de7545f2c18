import { Worker } from "node:worker_threads";
import { type ErrorCode, LimberError } from "../base/index.js";
import type { Answers, Envelope, Reply, Request } from "./protocol.js";
import type { Machine, RunTensor, Session, SessionOptions, StateArray, StateBinding } from "./session.js";

interface Pending {
  resolve(answer: Answers[keyof Answers]): void;
  reject(error: LimberError): void;
}

/** Workers are plain JavaScript: from TypeScript sources (tests) the built file is used. */
const WORKER_URL = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/run/worker.js" : "./worker.js",
  import.meta.url,
);

/** Starts a worker thread that runs models on the CPU. Dispose it: the worker lives until then. */
export function createMachine(): Machine {
  return new WorkerMachine();
}

class WorkerMachine implements Machine {
  private readonly worker = new Worker(WORKER_URL);
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private gone: LimberError | undefined;

  constructor() {
    this.worker.on("message", (reply: Reply) => this.settle(reply));
    this.worker.on("error", (cause) => this.end(`worker: alive, got "${cause.message}"`, cause));
    this.worker.on("exit", (code) => this.end(`worker: alive, got exit code ${code}`));
    this.worker.unref();
  }

  async createSession(
    model: Uint8Array,
    options: SessionOptions = {},
    bindings: readonly StateBinding[] = [],
  ): Promise<Session> {
    const session = this.nextId++;
    const { createMs } = await this.ask<"create">({ kind: "create", session, model, options, bindings });
    return {
      createMs,
      run: (feeds, runOptions) => this.ask<"run">({ kind: "run", session, feeds, options: runOptions }),
      dispose: () => this.ask<"release">({ kind: "release", session }),
    };
  }

  writeState(arrays: readonly StateArray[]): Promise<void> {
    return this.ask<"write">({ kind: "write", arrays });
  }

  readState(names: readonly string[]): Promise<Map<string, RunTensor>> {
    return this.ask<"read">({ kind: "read", names });
  }

  memory(): Promise<Answers["memory"]> {
    return this.ask<"memory">({ kind: "memory" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gone ??= new LimberError("run.failed", "machine: in use, got a call after it was disposed");
    await this.worker.terminate();
  }

  private ask<K extends keyof Answers>(request: Request & { kind: K }): Promise<Answers[K]> {
    if (this.gone) return Promise.reject(this.gone);
    const id = this.nextId++;
    return new Promise<Answers[K]>((resolve, reject) => {
      this.worker.postMessage({ id, request } satisfies Envelope);
      this.pending.set(id, { resolve: (answer) => resolve(answer as Answers[K]), reject });
      this.worker.ref(); // keeps the process alive only while something is under way
    });
  }

  private settle(reply: Reply): void {
    const pending = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if (this.pending.size === 0) this.worker.unref();
    if ("answer" in reply) pending?.resolve(reply.answer);
    else
      pending?.reject(new LimberError(reply.error.code satisfies ErrorCode, reply.error.message, reply.error.context));
  }

  private end(message: string, cause?: unknown): void {
    this.gone ??= new LimberError("run.failed", message, {}, { cause });
    for (const pending of this.pending.values()) pending.reject(this.gone);
    this.pending.clear();
  }
}
