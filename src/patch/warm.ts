import { invariant, sameShape, type Tensor } from "../base/index.js";

/** The tensors of a patch by their names in the model. */
export type PatchTensors = ReadonlyMap<string, Tensor>;

/** Where a patch may start: at nothing, where it was after its last drift, at the patch of a model like it, or at one that served a similar domain. */
export type StartSource = "zero" | "own" | "library" | "parent" | "mix";

export interface StartCandidate {
  readonly source: StartSource;
  readonly tensors: PatchTensors;
  /** Whose it is: a model, or an entry of the library. */
  readonly from?: string | undefined;
  /** How alike that model is; a parent needs it. */
  readonly similarity?: number | undefined;
}

/** A candidate that was judged, or why it was not. */
export interface Tried {
  readonly source: StartSource;
  readonly from?: string | undefined;
  readonly loss?: number | undefined;
  readonly refused?: "unlike" | "shapes" | "not finite" | undefined;
}

export interface Start {
  readonly source: StartSource;
  readonly from?: string | undefined;
  readonly similarity?: number | undefined;
  readonly tensors: PatchTensors;
  readonly loss: number;
  /** Everything that was looked at, in order. Each with a loss, or refused as not finite, took one probe. */
  readonly tried: readonly Tried[];
}

export interface StartOptions {
  /** The loss of the model on a probe batch when its patch holds these tensors. */
  probe(tensors: PatchTensors): Promise<number>;
  /** Parents less alike are not tried. Default 0.5. */
  readonly threshold?: number | undefined;
  /** Share by which the loss of a patch of the model's own, past or present, may be above the lowest. Default 0. */
  readonly allowance?: number | undefined;
  /** Also tries the mean of the two parents most alike, by their likeness. Default false. */
  readonly mix?: boolean | undefined;
}

/**
 * Picks the start with the lowest loss on a probe batch, and the new patch where none is lower: without an allowance a start is never
 * worse than nothing.
 *
 * `zero` is the patch as attached: it says which tensors there are. A candidate that has only some of them, a patch of fewer groups, gets
 * the others from it.
 *
 * Source: PatchLine, correlation-aware warm patching. Cost: one forward pass for each candidate.
 */
export async function chooseStart(
  zero: PatchTensors,
  candidates: readonly StartCandidate[],
  { probe, threshold = 0.5, allowance = 0, mix = false }: StartOptions,
): Promise<Start> {
  const all = mix ? [...candidates, ...mixOf(candidates, zero, threshold)] : candidates;
  const tried: Tried[] = [];
  let best: Omit<Start, "tried"> | undefined;
  const past = new Map<StartSource, Omit<Start, "tried">>();
  for (const { source, from, similarity, tensors } of [{ source: "zero", tensors: zero } as StartCandidate, ...all]) {
    const named = { source, ...(from !== undefined && { from }) };
    const refused = findObstacle({ source, similarity, tensors }, zero, threshold);
    if (refused) {
      tried.push({ ...named, refused });
      continue;
    }
    const whole = new Map([...zero].map(([name, tensor]) => [name, tensors.get(name) ?? tensor]));
    const probed = await probe(whole);
    const loss = Number.isFinite(probed) ? probed : Infinity;
    tried.push({ ...named, ...(loss < Infinity ? { loss } : { refused: "not finite" }) });
    const start = { ...named, ...(similarity !== undefined && { similarity }), tensors: whole, loss };
    if (!best || loss < best.loss) best = start;
    if (source === "library" || source === "own") past.set(source, start);
  }
  invariant(best, "a patch can always start at nothing");
  const limit = best.loss * (1 + allowance);
  const preferred = [past.get("library"), past.get("own")].find((each) => each && each.loss <= limit);
  if (allowance > 0 && preferred) best = preferred;
  return { ...best, tried };
}

/** Tensors that the patch has not, such as a head's, make another shape of it. */
function findObstacle(
  { source, similarity, tensors }: StartCandidate,
  zero: PatchTensors,
  threshold: number,
): "unlike" | "shapes" | undefined {
  if (source === "parent" && !((similarity ?? 0) >= threshold)) return "unlike";
  const fits = [...tensors].every(([name, { dims }]) => zero.has(name) && sameShape(zero.get(name)!.dims, dims));
  return fits && tensors.size > 0 ? undefined : "shapes";
}

/** The two parents most alike, weighed by their likeness. */
function mixOf(candidates: readonly StartCandidate[], zero: PatchTensors, threshold: number): StartCandidate[] {
  const parents = candidates
    .filter((each) => each.source === "parent" && !findObstacle(each, zero, threshold))
    .sort((a, b) => b.similarity! - a.similarity!);
  const [first, second] = parents;
  if (!first || !second) return [];
  const share = first.similarity! / (first.similarity! + second.similarity!);
  const common = [...first.tensors].filter(([name]) => second.tensors.has(name));
  const tensors = new Map(common.map(([name, tensor]) => [name, blend(tensor, second.tensors.get(name)!, share)]));
  const similarity = share * first.similarity! + (1 - share) * second.similarity!;
  return [{ source: "mix", from: [first.from, second.from].filter(Boolean).join("+"), similarity, tensors }];
}

function blend(a: Tensor, b: Tensor, share: number): Tensor {
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  return { ...a, data: x.map((value, i) => share * value + (1 - share) * y[i]!) };
}

/** Why a start was taken, for people. */
export function describeStart({ source, from, loss, tried }: Start): string {
  const zero = tried[0]?.loss;
  const whose = from === undefined ? source : `${source} ${from}`;
  if (source === "zero") return `${whose}: no other start has a lower loss than ${loss.toFixed(3)}`;
  return `${whose}: loss ${loss.toFixed(3)}, a new patch ${zero === undefined ? "none" : zero.toFixed(3)}`;
}
