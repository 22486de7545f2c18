import { LimberError, Random, sizeOf } from "../base/index.js";
import { type Binding, bindDims, type Model, writeModel } from "../graph/index.js";
import { createMachine, type Machine, type Results, type RunTensor, type SessionOptions } from "../run/node.js";

const LARGEST_DIFFERENCE = 1e-5;

export interface CheckOptions extends SessionOptions {
  readonly binding: Binding;
  readonly seed: number;
}

/**
 * Runs a pruned model beside the original whose removed channels were set to zero, on random inputs: how far they are apart,
 * relative to the largest output, or undefined when the inputs are not pictures of a known size.
 * Throws: `internal` when they are further apart than rounding, `run.failed`.
 */
export async function checkPruned(
  silenced: Model,
  pruned: Uint8Array,
  options: CheckOptions,
): Promise<number | undefined> {
  const feeds = createFeeds(silenced, options);
  if (!feeds) return undefined;
  await using machine = createMachine();
  const names = silenced.graph.outputs.map(({ name }) => name);
  const before = await runOnce(machine, writeModel(silenced), feeds, names, options);
  const after = await runOnce(machine, pruned.slice(), feeds, names, options);
  const difference = Math.max(...names.map((name) => differenceOf(before[name]!, after[name]!)));
  if (difference <= LARGEST_DIFFERENCE) return difference;
  const message = `pruned model: outputs within ${LARGEST_DIFFERENCE} of the original with these channels at zero, got a difference of ${difference}; nothing was written, please report it`;
  throw new LimberError("internal", message, { difference: String(difference) });
}

function createFeeds(model: Model, { binding, seed }: CheckOptions): Record<string, RunTensor> | undefined {
  const random = new Random(seed);
  const { inputs, initializers } = bindDims(model, { batch: 1, ...binding }).graph;
  const needed = inputs.filter(({ name }) => !initializers.has(name));
  const feeds = needed.map(({ name, dtype, dims }): [string, RunTensor] | undefined => {
    const sizes = dims?.filter((dim) => typeof dim === "number");
    if (dtype !== "float32" || !sizes || sizes.length !== dims!.length) return undefined;
    return [name, { dtype, dims: sizes, data: Float32Array.from({ length: sizeOf(sizes) }, () => random.normal()) }];
  });
  return feeds.every((feed) => feed !== undefined) ? Object.fromEntries(feeds) : undefined;
}

async function runOnce(
  machine: Machine,
  bytes: Uint8Array,
  feeds: Record<string, RunTensor>,
  fetches: readonly string[],
  { threads }: SessionOptions,
): Promise<Results> {
  const session = await machine.createSession(bytes, { threads });
  const { outputs } = await session.run(feeds, { fetches });
  await session.dispose();
  return outputs;
}

function differenceOf(expected: RunTensor, got: RunTensor): number {
  if (expected.data.length !== got.data.length) return Infinity;
  let [scale, largest] = [1, 0];
  expected.data.forEach((value: number | bigint, i: number) => {
    if (Number.isFinite(Number(value))) scale = Math.max(scale, Math.abs(Number(value)));
    const difference = Object.is(value, got.data[i]) ? 0 : Math.abs(Number(value) - Number(got.data[i]));
    largest = Number.isNaN(difference) ? Infinity : Math.max(largest, difference);
  });
  return largest / scale;
}
