import type { Model, ValueInfo } from "../graph/index.js";
import { gatesOf, inferShapes, writeModel } from "../graph/index.js";
import type { Machine, RunTensor, SessionOptions } from "../run/node.js";

export interface Probe {
  /** Shapes: [N, K] for a classifier. */
  readonly prediction: RunTensor;
  /** Inner values by name. */
  readonly values: Readonly<Record<string, RunTensor>>;
  /** Loading the model, and running it. Units: milliseconds. */
  readonly loadMs: number;
  readonly runMs: number;
}

export interface ProbeOptions extends SessionOptions {
  readonly machine: Machine;
  /** For a gated model. */
  readonly sparsity?: number | undefined;
  /** Inner values to show. */
  readonly values?: readonly string[] | undefined;
}

/** Runs a model once on a batch, and shows values inside of it. Throws: `run.failed`, `shape.mismatch`. */
export async function probe(model: Model, images: RunTensor, options: ProbeOptions): Promise<Probe> {
  const { machine, sparsity = 0, values = [], threads, optimization } = options;
  const { graph } = inferShapes(model);
  const [image] = graph.inputs;
  const output = graph.outputs[0]!.name;
  const shown = values.map((name): ValueInfo => ({
    name,
    ...(graph.types.get(name) ?? { dtype: "float32", dims: undefined }),
  }));
  const bytes = writeModel({ ...model, graph: { ...model.graph, outputs: [...model.graph.outputs, ...shown] } });
  const session = await machine.createSession(bytes, { threads, optimization });
  try {
    const gating = gatesOf(model);
    const isOpen = graph.inputs.some(({ name }) => name === gating.sparsity);
    const share = { dtype: "float32" as const, dims: [1], data: Float32Array.of(sparsity) };
    const feeds = { [image!.name]: images, ...(isOpen && { [gating.sparsity]: share }) };
    const { outputs, runMs } = await session.run(feeds, { fetches: [output, ...values] });
    return { prediction: outputs[output]!, values: outputs, loadMs: session.createMs, runMs };
  } finally {
    await session.dispose();
  }
}

/** The numbers of each image in a batch. */
export function rowsOf({ data, dims }: RunTensor): Float32Array[] {
  const length = data.length / dims[0]!;
  return Array.from({ length: dims[0]! }, (_, row) =>
    (data as Float32Array).subarray(row * length, (row + 1) * length),
  );
}
