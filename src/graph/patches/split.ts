import { isFloat, LimberError } from "../../base/index.js";
import { ancestorsOf, descendantsOf, type Graph, type Model, type Node, producersOf } from "../ir/index.js";
import { BACKBONE_KEY } from "../networks/index.js";
import { type Binding, costOf, inferShapes, parametersOf, prepareModel } from "../passes/index.js";
import { type Layout, layoutsOf, nodesBefore, nodesBehind } from "./trunk.js";

/** A value behind which a patch can stand: the last one of a group of layers. */
export interface PatchPoint {
  /** From 1, the group at the image, on. */
  readonly group: number;
  readonly value: string;
  /** The value in front of the group's layers, the last one of the group before; none for the first group. */
  readonly after?: string;
  readonly channels: number;
  readonly layout: Layout;
  /** Pixels of the image, in each direction, for one place of the value. */
  readonly stride: number;
  /** Rows and columns of the places, for images of the size that the model was bound to; none for tokens that fill no grid. */
  readonly grid?: readonly [height: number, width: number];
}

export interface SplitOptions {
  /** Default 3. */
  readonly groups?: number | undefined;
  /** Names of the values behind which groups end, instead of those that would be found. */
  readonly at?: readonly string[] | undefined;
  /** The last value of the backbone; default what the model's metadata say (`limber.backbone`), else what is found. */
  readonly end?: string | undefined;
  /** Sizes for open axes of the image. */
  readonly binding?: Binding | undefined;
}

/** A value on the way that everything takes. */
interface Station extends Omit<PatchPoint, "group" | "after"> {
  readonly node: Node;
  readonly places: number;
  /** A 1×1 convolution. */
  readonly isPointwise: boolean;
}

const unsuitable = (expected: string, got: string, next = "name the values with `at`"): LimberError =>
  new LimberError("method.unsuitable", `split: ${expected}, got ${got}; ${next}`);

/**
 * Splits a backbone into groups of layers, and finds the value behind each where a patch can stand.
 *
 * The stations of a backbone are the values that every way from its first weights to its end leads through, whatever shortcuts do in
 * between. Groups end where the resolution falls. More resolutions than groups are shared out, the rest to the last group, then to
 * the first: VGG {1,2}{3}{4,5}, ResNet {stem,1}{2}{3,4}, MobileNetV2 stride {2,4}{8}{16,32}. Fewer: groups of equal cost, as for the
 * blocks of a ViT. The end is the last station at the coarsest resolution: in front of the pooling of a classifier, at the bottom of a U-Net.
 *
 * Throws: `method.unsuitable` where there are no such stations, `shape.unknown` for images of unknown size, `config.invalid` for a
 * value of `at` that is none.
 */
export function splitBackbone(model: Model, options: SplitOptions = {}): readonly PatchPoint[] {
  const { groups = 3, at, binding } = options;
  if (!Number.isInteger(groups) || groups < 1)
    throw new LimberError("config.invalid", `groups: a whole number from 1 on, got ${groups}`, { groups });
  const shaped = inferShapes(prepareModel(model), { batch: 2, ...binding });
  const find = stationsIn(shaped.graph, new Set(model.graph.nodes.flatMap(({ outputs }) => outputs)));
  if (at) return number(at.map((value) => namedStation(shaped.graph, find, value)));

  const weights = parametersOf(shaped).filter(({ role }) => role === "weight");
  const trained = descendantsOf(
    shaped.graph,
    weights.flatMap(({ node }) => node.outputs),
  );
  const within = new Set(shaped.graph.nodes.filter(({ outputs }) => outputs.some((name) => trained.has(name))));
  const named = options.end ?? model.metadata.get(BACKBONE_KEY);
  const end = named === undefined ? findEnd(shaped.graph, within, find) : namedStation(shaped.graph, find, named);
  const stations = nodesBefore(shaped.graph, end.node, within).flatMap((node) => find(node) ?? []);
  const trunk = named === undefined ? beforeExpansion(stations) : stations;
  const levels = levelsOf(trunk);
  if (levels.length >= groups) return number(shareOut(levels, groups));
  return number(splitByCost(shaped, trunk, groups));
}

const number = (stations: readonly Station[]): readonly PatchPoint[] =>
  stations.map(({ value, channels, layout, stride, grid }, i) => ({
    ...{ group: i + 1, value, ...(i > 0 && { after: stations[i - 1]!.value }) },
    ...{ channels, layout, stride, ...(grid && { grid }) },
  }));

/** What a node gives as a station: a map or tokens of the images, of more than one place, under a name that the model has. */
function stationsIn(graph: Graph, names: ReadonlySet<string>): (node: Node) => Station | undefined {
  const [image] = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const dims = image?.dims;
  if (dims?.length !== 4 || !dims.every((dim) => typeof dim === "number")) {
    const message = `split: images [N,C,H,W] of a known size, got ${dims ? `[${dims.join(",")}]` : "no input"}; bind the size`;
    throw new LimberError("shape.unknown", message);
  }
  const [batch, , height, width] = dims as [number, number, number, number];
  const layouts = layoutsOf(graph);
  return (node) => {
    const [value] = node.outputs as [string];
    const layout = layouts.get(value);
    const type = graph.types.get(value);
    const own = type?.dims?.every((dim): dim is number => typeof dim === "number") ? type.dims : undefined;
    if (!layout || !type || !own || !isFloat(type.dtype) || own[0] !== batch || !names.has(value)) return undefined;
    const places = layout === "map" ? own[2]! * own[3]! : own[1]!;
    if (places < 2) return undefined;
    const stride = Math.sqrt((height * width) / places);
    const [rows, columns] = [height / stride, width / stride];
    const isGrid = Number.isInteger(rows) && Number.isInteger(columns);
    const grid = layout === "map" ? ([own[2]!, own[3]!] as const) : isGrid ? ([rows, columns] as const) : undefined;
    const channels = layout === "map" ? own[1]! : own[2]!;
    const kernel = node.op === "Conv" ? graph.initializers.get(node.inputs[1]!)?.dims.slice(2) : undefined;
    const isPointwise = kernel?.every((side) => side === 1) ?? false;
    return { node, value, channels, layout, stride, places, isPointwise, ...(grid && { grid }) };
  };
}

function namedStation(graph: Graph, find: (node: Node) => Station | undefined, value: string): Station {
  const node = producersOf(graph).get(value);
  const station = node?.outputs[0] === value ? find(node) : undefined;
  if (station) return station;
  const got = node ? `"${value}", which is neither` : `"${value}", which is not there`;
  throw new LimberError("config.invalid", `split: values that are maps [N,C,H,W] or tokens [N,T,C], got ${got}`, {
    value,
  });
}

/** Places of one resolution may differ a little: by a class token, or by padding. */
const isCoarser = (a: Station, b: Station): boolean => a.places < 0.75 * b.places;

/** The last station at the coarsest resolution that has layers of its own. */
function findEnd(graph: Graph, within: ReadonlySet<Node>, find: (node: Node) => Station | undefined): Station {
  const layers = graph.nodes
    .filter((node) => within.has(node) && LAYERS.has(node.op))
    .flatMap((node) => find(node) ?? []);
  const [first, ...others] = layers;
  if (!first) throw unsuitable("a model with layers over maps or tokens", "none");
  const start = others.reduce((coarsest, each) => (isCoarser(each, coarsest) ? each : coarsest), first);
  const behind = nodesBehind(graph, start.node).flatMap((node) => find(node) ?? []);
  return behind.findLast((each) => !isCoarser(each, start) && !isCoarser(start, each)) ?? start;
}

const LAYERS: ReadonlySet<string> = new Set(["Conv", "MatMul", "Gemm"]);
const ACTIVATIONS: ReadonlySet<string> = new Set([
  ...[
    "Relu",
    "Clip",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "Selu",
    "HardSwish",
    "HardSigmoid",
    "Sigmoid",
    "Tanh",
    "Mish",
    "Gelu",
    "Mul",
  ],
]);

/**
 * The stations without what only widens the last one for the layer that comes next: an inverted residual begins with that, so that its
 * narrow value is the one to patch. Source: Sandler et al. 2018, arXiv:1801.04381 (linear bottlenecks).
 */
function beforeExpansion(stations: readonly Station[]): readonly Station[] {
  const at = stations.findLastIndex(({ node }) => node.op === "Conv");
  const [before, layer] = [stations[at - 1], stations[at]];
  const widens = before && layer?.isPointwise && before.places === layer.places && layer.channels > before.channels;
  return widens && !ACTIVATIONS.has(before.node.op) ? stations.slice(0, at) : stations;
}

/** The stations of each resolution, from fine to coarse. */
function levelsOf(stations: readonly Station[]): (readonly Station[])[] {
  const levels: Station[][] = [];
  for (const station of stations) {
    const current = levels.at(-1);
    if (!current || isCoarser(station, current[0]!)) levels.push([station]);
    else current.push(station);
  }
  return levels;
}

/** The last station of each group: as many levels in each; what is left over goes to the last, the first, the last but one, and so on. */
function shareOut(levels: readonly (readonly Station[])[], groups: number): Station[] {
  const sizes = Array<number>(groups).fill(Math.floor(levels.length / groups));
  for (let i = 0; i < levels.length % groups; i++) sizes[i % 2 === 0 ? groups - 1 - i / 2 : (i - 1) / 2]! += 1;
  let last = -1;
  return sizes.map((size) => beforeExpansion(levels[(last += size)]!).at(-1)!);
}

/** Stations between which the layers cost as much as they can be made to. */
function splitByCost(model: Model, stations: readonly Station[], groups: number): Station[] {
  const costs = costOf(model).nodes;
  const macsUpTo = ({ value }: Station): number => {
    const before = ancestorsOf(model.graph, [value]);
    return costs.reduce((sum, { node, macs }) => sum + (before.has(node.outputs[0]!) ? macs : 0), 0);
  };
  // Normalization and activation cost nothing: of stations with equal sums the last one closes the layer.
  const closing = new Map(stations.map((station) => [macsUpTo(station), station]));
  const sums = [...closing.keys()];
  if (sums.length < groups) throw unsuitable(`layers for ${groups} groups`, `${sums.length}`, "ask for fewer groups");
  let from = 0;
  return Array.from({ length: groups }, (_, g) => {
    const wanted = ((g + 1) / groups) * sums.at(-1)!;
    const open = sums.slice(from, sums.length - (groups - 1 - g));
    const nearest = open.reduce((best, sum) => (Math.abs(sum - wanted) < Math.abs(best - wanted) ? sum : best));
    from = sums.indexOf(nearest) + 1;
    return closing.get(nearest)!;
  });
}
