import { inferShapes, type Model, modelUpTo, type PatchPoint, writeModel } from "../graph/index.js";
import type { Machine, RunTensor, SessionOptions } from "../run/node.js";
import { batches, type Domain, type Preprocessing, type TaskHead } from "../vision/index.js";
import { type DomainStatistics, poolStatistics, statisticsOf } from "./library.js";
import { poolMaps, type GroupFeatures } from "./similarity.js";

export interface ObserveOptions extends SessionOptions {
  readonly machine: Machine;
  readonly head: TaskHead<unknown>;
  readonly preprocessing: Preprocessing;
  readonly batchSize: number;
  /** Values whose pooled maps are kept. */
  readonly points: readonly PatchPoint[];
  /** Of how many samples, the first ones. */
  readonly featured: number;
}

/** What the passes that serve predictions tell beside them. */
export interface Observation {
  /** Samples that could be read, in order. */
  readonly indices: readonly number[];
  /** How unsure the model is of each of them, in [0, 1]. */
  readonly uncertainty: Float64Array;
  readonly features: GroupFeatures;
  /** What the samples look like on the whole, as the model is fed with them. */
  readonly looks: DomainStatistics;
}

/** Runs samples of a domain through a model and keeps its uncertainty and what it makes of the first ones at the patch points. */
export async function observe(
  model: Model,
  domain: Domain,
  indices: readonly number[],
  { machine, head, preprocessing, batchSize, points, featured, ...session }: ObserveOptions,
): Promise<Observation> {
  const output = model.graph.outputs[0]!.name;
  const values = points.map(({ value }) => value);
  const observed = modelUpTo(inferShapes(model), [output, ...values.filter((value) => value !== output)]);
  const loaded = await machine.createSession(writeModel(observed), session);
  const input = observed.graph.inputs.find(({ name }) => !observed.graph.initializers.has(name))!.name;
  const seen: number[] = [];
  const uncertainty: number[] = [];
  const rows = points.map(() => [] as RunTensor[]);
  const looks: { readonly statistics: DomainStatistics; readonly count: number }[] = [];
  for await (const batch of batches(domain, { indices, preprocessing, batchSize })) {
    if (batch.labels.length === 0) continue;
    const wanted = seen.length < featured ? values : [];
    const { outputs } = await loaded.run({ [input]: batch.images }, { fetches: [output, ...wanted] });
    uncertainty.push(...head.uncertainty(outputs[output]!));
    if (wanted.length > 0) points.forEach(({ value, layout }, i) => rows[i]!.push(poolMaps(outputs[value]!, layout)));
    seen.push(...batch.indices);
    looks.push({ statistics: statisticsOf(batch.images), count: batch.indices.length });
  }
  await loaded.dispose();
  const features = new Map(points.map(({ group }, i) => [group, stack(rows[i]!, featured)] as const));
  return { indices: seen, uncertainty: Float64Array.from(uncertainty), features, looks: poolStatistics(looks) };
}

/** At most `count` rows of all. Shapes: [n, C] each → [m, C]. */
function stack(parts: readonly RunTensor[], count: number): RunTensor {
  const width = parts[0]?.dims[1] ?? 0;
  const data = Float64Array.from(parts.flatMap(({ data }) => [...(data as Float64Array)])).subarray(0, count * width);
  return { dtype: "float64", dims: [width === 0 ? 0 : data.length / width, width], data };
}
