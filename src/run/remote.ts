import { type ErrorCode, LimberError } from "../base/index.js";
import type { Answers, Envelope, Reply, Request } from "./protocol.js";
import type { Provider } from "./provider.js";
import type { Machine, Phase, RunTensor, Session, SessionOptions, StateArray, StateBinding } from "./session.js";

interface Pending {
  resolve(answer: Answers[keyof Answers]): void;
  reject(error: LimberError): void;
}

/** A machine whose engine is in a worker: asks, and settles each question with the reply. What kind of worker is up to a subclass. */
export abstract class RemoteMachine implements Machine {
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private gone: LimberError | undefined;

  constructor(readonly provider: Provider) {}

  /** Hands a message to the worker, and with it the memory of `given`. */
  protected abstract post(envelope: Envelope, given: ArrayBuffer[]): void;
  /** Ends the worker. */
  protected abstract terminate(): Promise<void>;
  /** Does one piece of work, when it may. */
  protected enter<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }
  /** Told when the first question is asked, and when the last one is answered. */
  protected onBusy?(isBusy: boolean): void;

  async createSession(
    model: Uint8Array,
    options: SessionOptions = {},
    bindings: readonly StateBinding[] = [],
    update?: Phase,
  ): Promise<Session> {
    const session = this.nextId++;
    const phases = [{ model, bindings }, ...(update ? [update] : [])];
    const { createMs } = await this.ask<"create">({ kind: "create", session, options, phases });
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

  dropState(prefix: string): Promise<void> {
    return this.ask<"drop">({ kind: "drop", prefix });
  }

  memory(): Promise<Answers["memory"]> {
    return this.ask<"memory">({ kind: "memory" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gone ??= new LimberError("run.failed", "machine: in use, got a call after it was disposed");
    await this.terminate();
    this.end(this.gone);
  }

  private ask<K extends keyof Answers>(request: Request & { kind: K }): Promise<Answers[K]> {
    return this.enter(() => {
      if (this.gone) return Promise.reject(this.gone);
      const id = this.nextId++;
      return new Promise<Answers[K]>((resolve, reject) => {
        this.post({ id, request }, givenWith(request));
        this.pending.set(id, { resolve: (answer) => resolve(answer as Answers[K]), reject });
        if (this.pending.size === 1) this.onBusy?.(true);
      });
    });
  }

  protected settle(reply: Reply): void {
    if (this.gone) return; // whoever asked is told when the worker has ended
    const pending = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if (this.pending.size === 0) this.onBusy?.(false);
    if ("error" in reply)
      pending?.reject(new LimberError(reply.error.code satisfies ErrorCode, reply.error.message, reply.error.context));
    else pending?.resolve(reply.answer);
  }

  /** The worker is no more: all questions, open and to come, fail. */
  protected end(reason: LimberError): void {
    this.gone ??= reason;
    for (const pending of this.pending.values()) pending.reject(this.gone);
    this.pending.clear();
  }
}

/** A model may hold hundreds of megabytes: its bytes move to the worker, where a copy would stay until the collector comes. */
function givenWith(request: Request): ArrayBuffer[] {
  if (request.kind !== "create") return [];
  return request.phases.flatMap(({ model: { buffer, byteLength } }) =>
    buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [],
  );
}

/** The error of a worker that ended by itself. */
export const workerEnded = (got: string, cause?: unknown): LimberError =>
  new LimberError("run.failed", `worker: alive, got ${got}`, {}, { cause });
