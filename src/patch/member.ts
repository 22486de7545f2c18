import type { Tensor } from "../base/index.js";
import {
  attachPatches,
  descendantsOf,
  findPatches,
  type Model,
  nodesOfGroup,
  parametersOf,
  type PatchForm,
  type PatchOptions,
  type PatchPoint,
  patchParameters,
  prepareModel,
  splitBackbone,
  type SplitOptions,
} from "../graph/index.js";
import { channelsOf, type Preprocessing, type TaskHead, taskOf } from "../vision/index.js";
import type { PatchTensors } from "./warm.js";

/** A model that co-runs with others and is patched when its world drifts. */
export interface Member {
  readonly name: string;
  /** Without patches: what every patch belongs to. */
  readonly source: Model;
  /** What serves now: the source, or the source with patches. */
  readonly serving: Model;
  readonly preprocessing: Preprocessing;
  readonly head: TaskHead<unknown>;
  /** Behind which values patches can stand, from the image on. */
  readonly points: readonly PatchPoint[];
  /** Its score before any drift. */
  readonly before: number;
}

export interface MemberOptions extends Pick<Member, "name" | "preprocessing" | "before"> {
  readonly split?: SplitOptions | undefined;
}

/** Opens a model as a member of a line. Throws: `method.unsuitable` where it has no task, or no place for patches. */
export function createMember(model: Model, { split, ...rest }: MemberOptions): Member {
  const source = prepareModel(model);
  const { width, height } = rest.preprocessing;
  const binding = { inputDims: { [source.graph.inputs[0]!.name]: [1, channelsOf(rest.preprocessing), height, width] } };
  const points = splitBackbone(source, { binding, ...split });
  const head = taskOf(model).open(model, { width, height });
  return { ...rest, source, serving: source, head, points };
}

/**
 * What patches are made of where nothing else is said. Low-rank changes do for answers about whole pictures and boxes, at less work, and can be
 * added to the weights; pixels need the branch beside them that sees their surroundings (docs/patchline.md has the figures).
 */
export const formFor = (source: Model): PatchForm => (taskOf(source).isDense ? "joint" : "low-rank");

/** What trains beside patches: nothing, biases behind the backbone, or all that stands there. */
export type HeadScope = "none" | "biases" | "all";

/** The parameters of the head, what stands behind the last patch point, in the model as given. */
export function headParameters({ source, points }: Pick<Member, "source" | "points">, scope: HeadScope): string[] {
  if (scope === "none") return [];
  const behind = descendantsOf(source.graph, [points.at(-1)!.value]);
  return parametersOf(source).flatMap(({ name, role, node }) => {
    const isIn = node.outputs.some((output) => behind.has(output));
    return isIn && (scope === "all" || role === "bias" || role === "norm-bias") ? [name] : [];
  });
}

/** Scales and biases of layers inside of groups; they train with the patches behind those, at next to no cost of their own. */
export function groupBiases(
  { source, points }: Pick<Member, "source" | "points">,
  groups: readonly number[],
): string[] {
  const inside = new Set(
    points.flatMap((point) => (groups.includes(point.group) ? nodesOfGroup(source.graph, point) : [])),
  );
  return parametersOf(source).flatMap(({ name, role, node }) => (inside.has(node) && role !== "weight" ? [name] : []));
}

/** The source with patches in these groups; weights that are given take the place of the initial ones. */
export function patchMember(
  { source, points }: Pick<Member, "source" | "points">,
  groups: readonly number[],
  options: PatchOptions = {},
  weights: PatchTensors = new Map(),
): Model {
  return withWeights(attachPatches(source, points, { ...options, groups }), weights);
}

/** The same model with other weights; names that it does not have are left out. */
export function withWeights(model: Model, weights: PatchTensors): Model {
  const initializers = new Map<string, Tensor>(model.graph.initializers);
  for (const [name, tensor] of weights) if (initializers.has(name)) initializers.set(name, tensor);
  return { ...model, graph: { ...model.graph, initializers } };
}

/** Some weights of a model, by their names. */
export const weightsOf = ({ graph }: Model, names: readonly string[]): PatchTensors =>
  new Map(names.flatMap((name) => (graph.initializers.has(name) ? [[name, graph.initializers.get(name)!]] : [])));

/** The weights of the patches of a model. */
export const patchWeights = (model: Model): PatchTensors => weightsOf(model, patchParameters(model));

/**
 * What a model can start from that is like another: its patches, and its own scales and biases changed as the other's were.
 * Differs: PatchLine's design hands on patches alone; here they were trained together with those.
 */
export function weightsFrom(
  parent: Pick<Member, "source" | "serving">,
  member: Pick<Member, "source" | "points">,
): PatchTensors {
  const [before, after] = [parent.source.graph.initializers, parent.serving.graph.initializers];
  const own = member.source.graph.initializers;
  const groups = member.points.map(({ group }) => group);
  const changed = groupBiases(member, groups).flatMap((name): [string, Tensor][] => {
    const [a, b, mine] = [before.get(name), after.get(name), own.get(name)];
    const fits = a && b && mine && a !== b && a.data.length === mine.data.length;
    if (!fits) return [];
    const [old, now] = [a.data as Float32Array, b.data as Float32Array];
    return [[name, { ...mine, data: (mine.data as Float32Array).map((value, i) => value + now[i]! - old[i]!) }]];
  });
  return new Map([...patchWeights(parent.serving), ...changed]);
}

/** The groups that have patches. */
export const patchedGroups = (model: Model): number[] => findPatches(model).map(({ group }) => group);
