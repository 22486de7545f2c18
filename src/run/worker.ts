/**
 * The worker side of a machine: owns ONNX Runtime sessions and the state arrays.
 *
 * Every state array has two buffers. A run reads the front ones and writes its new state into the back ones, in place;
 * an accepted run swaps them. So a refused step costs nothing, and no step leaves garbage in proportion to the model.
 */
import { availableParallelism } from "node:os";
import { MessageChannel, parentPort } from "node:worker_threads";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import {
  createArray,
  formatShape,
  isLimberError,
  LimberError,
  type NumericArray,
  sameShape,
  sizeOf,
} from "../base/index.js";
import type { Answers, Envelope, Reply, Request } from "./protocol.js";
import type { Feeds, RunOptions, RunResult, RunTensor, SessionOptions, StateArray, StateBinding } from "./session.js";

interface DoubleBuffer {
  front: OrtTensor;
  back: OrtTensor;
}

interface LoadedSession {
  readonly session: InferenceSession;
  readonly bindings: readonly StateBinding[];
}

const sessions = new Map<number, LoadedSession>();
const state = new Map<string, DoubleBuffer>();

const wrap = ({ dtype, dims, data }: RunTensor): OrtTensor =>
  new OrtTensor(dtype as OrtTensor.Type, data as OrtTensor.DataType, dims);
const unwrap = (t: OrtTensor): RunTensor => ({
  dtype: t.type as RunTensor["dtype"],
  dims: t.dims,
  data: t.data as NumericArray,
});

async function create(
  id: number,
  model: Uint8Array,
  options: SessionOptions,
  bindings: readonly StateBinding[],
): Promise<Answers["create"]> {
  const start = performance.now();
  const session = await InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: options.threads ?? Math.max(1, Math.floor(availableParallelism() / 2)),
    interOpNumThreads: 1,
    graphOptimizationLevel: options.optimization ?? "all",
    logSeverityLevel: 3,
    // Vanishing gradients end in denormal numbers, which processors compute many times slower.
    extra: { session: { set_denormal_as_zero: "1" } },
  });
  for (const { name } of bindings) bufferOf(name);
  sessions.set(id, { session, bindings });
  return { createMs: performance.now() - start };
}

function bufferOf(name: string): DoubleBuffer {
  const buffer = state.get(name);
  if (!buffer)
    throw new LimberError("config.invalid", `state "${name}": written before it is bound, got no such array`, { name });
  return buffer;
}

async function run(id: number, feeds: Feeds, { fetches, finite = [] }: RunOptions): Promise<RunResult> {
  const loaded = sessions.get(id);
  if (!loaded) throw new LimberError("run.failed", "session: in use, got a run after it was disposed");
  const inputs: Record<string, OrtTensor> = {};
  const outputs: Record<string, OrtTensor | null> = {};
  for (const [name, feed] of Object.entries(feeds)) inputs[name] = wrap(feed);
  for (const { name, input, output } of loaded.bindings) {
    const buffer = bufferOf(name);
    inputs[input] = buffer.front;
    outputs[output] = buffer.back;
  }
  for (const name of [...fetches, ...finite]) outputs[name] ??= null;
  checkNames("input", Object.keys(inputs), loaded.session.inputNames);
  checkNames("output", Object.keys(outputs), loaded.session.outputNames);
  const start = performance.now();
  const results = await loaded.session.run(inputs, outputs);
  const runMs = performance.now() - start;
  const accepted = finite.every((name) => isFinite(results[name]!));
  const copies = loaded.bindings.flatMap(({ name, output }) => {
    const { buffer } = results[output]!.data as Float32Array;
    const isCopy = buffer !== (bufferOf(name).back.data as Float32Array).buffer;
    return isCopy && !fetches.includes(output) ? [buffer as ArrayBuffer] : [];
  });
  bin.port1.postMessage(null, copies);
  if (accepted) {
    for (const { name } of loaded.bindings) {
      const buffer = bufferOf(name);
      [buffer.front, buffer.back] = [buffer.back, buffer.front];
    }
  }
  return { outputs: Object.fromEntries(fetches.map((name) => [name, unwrap(results[name]!)])), accepted, runMs };
}

/** The runtime ignores names that it does not know. */
function checkNames(kind: "input" | "output", names: readonly string[], known: readonly string[]): void {
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const message = `session: an ${kind} of the model (${known.join(", ")}), got "${unknown}"`;
  throw new LimberError("run.failed", message, { [kind]: unknown });
}

/**
 * onnxruntime-node answers with a copy of every output, of those it wrote into our buffers too. What is sent into a closed
 * port is freed at once; left to the collector, copies of the weights would pile up by the gigabyte.
 */
const bin = new MessageChannel();
bin.port1.close();

const isFinite = (t: OrtTensor): boolean => (t.data as Float32Array).every(Number.isFinite);

/** All arrays or, when one of them does not fit, none. */
function write(arrays: readonly StateArray[]): undefined {
  for (const { name, value } of arrays) {
    const front = state.get(name)?.front;
    if (!front || (front.type === value.dtype && sameShape(front.dims, value.dims))) continue;
    const message = `state "${name}": ${front.type} ${formatShape(front.dims)}, got ${value.dtype} ${formatShape(value.dims)}`;
    throw new LimberError("shape.mismatch", message, { name });
  }
  for (const { name, value } of arrays) {
    const existing = state.get(name);
    if (existing) (existing.front.data as Float32Array).set(value.data as Float32Array);
    else {
      const back = createArray(value.dtype, sizeOf(value.dims));
      state.set(name, { front: wrap({ ...value, data: value.data.slice() }), back: wrap({ ...value, data: back }) });
    }
  }
}

function read(names: readonly string[]): Answers["read"] {
  return new Map(
    names.map((name) => {
      const { dtype, dims, data } = unwrap(bufferOf(name).front);
      return [name, { dtype, dims, data: data.slice() }];
    }),
  );
}

async function release(id: number): Promise<undefined> {
  await sessions.get(id)?.session.release();
  sessions.delete(id);
}

function answer(request: Request): Promise<Answers[keyof Answers]> | Answers[keyof Answers] {
  switch (request.kind) {
    case "create":
      return create(request.session, request.model, request.options, request.bindings);
    case "run":
      return run(request.session, request.feeds, request.options);
    case "release":
      return release(request.session);
    case "write":
      return write(request.arrays);
    case "read":
      return read(request.names);
    case "memory":
      return { residentBytes: process.memoryUsage.rss(), peakBytes: process.resourceUsage().maxRSS * 1024 };
  }
}

/** Requests are served one after another: ONNX Runtime sessions share the state arrays. */
let last: Promise<void> = Promise.resolve();

async function serve({ id, request }: Envelope): Promise<void> {
  try {
    send({ id, answer: await answer(request) });
  } catch (cause) {
    const error = isLimberError(cause) ? cause : runtimeError(request.kind, cause);
    send({ id, error: error.toJSON() });
  }
}

function runtimeError(kind: Request["kind"], cause: unknown): LimberError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LimberError("run.failed", `onnxruntime ${kind}: success, got "${reason}"`, { request: kind });
}

const send = (reply: Reply): void => parentPort!.postMessage(reply);

parentPort!.on("message", (envelope: Envelope) => {
  last = last.then(() => serve(envelope));
});
