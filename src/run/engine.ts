import type { InferenceSession, Tensor } from "onnxruntime-common";
import { type DType, invariant, isLimberError, LimberError } from "../base/index.js";
import type { Answers, Envelope, Reply, Request } from "./protocol.js";
import { type Runtime, runSession } from "./runtime.js";
import type {
  Feeds,
  Phase,
  Results,
  RunOptions,
  RunResult,
  SessionOptions,
  StateBinding,
  TensorType,
} from "./session.js";

interface LoadedPhase {
  readonly session: InferenceSession;
  readonly bindings: readonly StateBinding[];
}

/** The worker side of a machine, the same in Node.js and in a browser: owns the sessions and serves requests one after another. */
export class Engine {
  private readonly sessions = new Map<number, readonly LoadedPhase[]>();
  private last: Promise<unknown> = Promise.resolve();
  private isEnding = false;

  constructor(private readonly runtime: Runtime) {}

  /** Answers a request after all that came before it: sessions share the state arrays. */
  serve({ id, request }: Envelope): Promise<Reply> {
    const reply = this.last.then(async (): Promise<Reply> => {
      try {
        return { id, answer: await this.answer(request) };
      } catch (cause) {
        return { id, error: (isLimberError(cause) ? cause : runtimeError(request.kind, cause)).toJSON() };
      }
    });
    this.last = reply;
    return reply;
  }

  /** Begins nothing more; resolves when what is under way has ended. */
  async end(): Promise<void> {
    this.isEnding = true;
    await this.last;
  }

  private answer(request: Request): Answers[keyof Answers] | Promise<Answers[keyof Answers]> {
    if (this.isEnding) throw new LimberError("run.failed", `machine: in use, got "${request.kind}" while it ends`);
    switch (request.kind) {
      case "create":
        return this.create(request.session, request.options, request.phases);
      case "run":
        return this.run(request.session, request.feeds, request.options);
      case "release":
        return this.release(request.session);
      case "write":
        return this.runtime.state.write(request.arrays);
      case "read":
        return this.runtime.state.read(request.names);
      case "drop":
        return this.runtime.state.drop(request.prefix);
      case "memory":
        return this.runtime.memory();
    }
  }

  private async create(id: number, options: SessionOptions, phases: readonly Phase[]): Promise<Answers["create"]> {
    const start = performance.now();
    const loaded: LoadedPhase[] = [];
    for (const { model, bindings } of phases) {
      for (const { name, input } of bindings) if (input !== undefined) this.runtime.state.check(name);
      const outputs = bindings.flatMap(({ output }) => output ?? []);
      const session = await this.runtime.load(model, { ...options, isBrief: loaded.length > 0 }, outputs);
      this.runtime.discard?.(model);
      for (const { name, input, output } of bindings)
        if (input === undefined) this.runtime.state.declare(name, typeOf(session, output!));
      loaded.push({ session, bindings });
    }
    this.sessions.set(id, loaded);
    return { createMs: performance.now() - start };
  }

  /** Runs the phases one after another, as long as what they give is accepted. */
  private async run(id: number, feeds: Feeds, { fetches, finite = [], updateIf }: RunOptions): Promise<RunResult> {
    const phases = this.sessions.get(id);
    if (!phases) throw new LimberError("run.failed", "session: in use, got a run after it was disposed");
    const known = phases.flatMap(({ session }) => session.inputNames);
    checkNames("input", Object.keys(feeds), known);
    const [first, ...rest] = phases;
    const gate = updateIf === undefined ? [] : [updateIf];
    const result = await this.runPhase(first!, feeds, { fetches: [...fetches, ...gate], finite });
    let { runMs } = result;
    const updated = result.accepted && gate.every((name) => Number(result.outputs[name]!.data[0]) !== 0);
    for (const phase of updated ? rest : []) runMs += (await this.runPhase(phase, feeds, { fetches: [] })).runMs;
    return { ...result, updated, runMs };
  }

  private async runPhase(
    { session, bindings }: LoadedPhase,
    feeds: Feeds,
    { fetches, finite = [] }: RunOptions,
  ): Promise<Omit<RunResult, "updated">> {
    const { state, convert, run = runSession } = this.runtime;
    const inputs: Record<string, Tensor> = {};
    const outputs: Record<string, Tensor | null> = {};
    for (const [name, feed] of Object.entries(feeds))
      if (session.inputNames.includes(name)) inputs[name] = convert.wrap(feed);
    for (const binding of bindings) {
      if (binding.input !== undefined) inputs[binding.input] = state.source(binding);
      if (binding.output !== undefined) outputs[binding.output] = state.target(binding);
    }
    for (const name of [...fetches, ...finite]) outputs[name] ??= null;
    checkNames("output", Object.keys(outputs), session.outputNames);
    const start = performance.now();
    const results = await run(session, inputs, outputs);
    const runMs = performance.now() - start;
    const host: Results = {};
    for (const name of new Set([...fetches, ...finite])) host[name] = await convert.unwrap(results[name]!);
    const accepted = finite.every((name) => (host[name]!.data as Float32Array).every(Number.isFinite));
    state.settle(bindings, results, accepted, fetches);
    return { outputs: Object.fromEntries(fetches.map((name) => [name, host[name]!])), accepted, runMs };
  }

  private async release(id: number): Promise<undefined> {
    for (const { session } of this.sessions.get(id) ?? []) await session.release();
    this.sessions.delete(id);
  }
}

function typeOf(session: InferenceSession, output: string): TensorType {
  const type = session.outputMetadata[session.outputNames.indexOf(output)];
  invariant(type?.isTensor, `output "${output}" is a tensor`);
  return { dtype: type.type as DType, dims: type.shape.map(Number) };
}

/** The runtime ignores names that it does not know. */
function checkNames(kind: "input" | "output", names: readonly string[], known: readonly string[]): void {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const message = `session: an ${kind} of the model (${known.join(", ")}), got "${unknown}"`;
  throw new LimberError("run.failed", message, { [kind]: unknown });
}

function runtimeError(kind: Request["kind"], cause: unknown): LimberError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LimberError("run.failed", `onnxruntime ${kind}: success, got "${reason}"`, { request: kind });
}
