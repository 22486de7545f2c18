import { invariant, LimberError, type Tensor } from "../../base/index.js";
import { checkGraph, type Model, producersOf } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { addBeside, type Branch } from "./branch.js";
import type { PatchPoint } from "./split.js";

export const PATCHES_KEY = "limber.patches";

export interface PatchOptions {
  /** Channels of the value over channels inside of the patch, of which there are at least four. Default 8. */
  readonly reduction?: number | undefined;
  /** Side of the depthwise window; default 3. */
  readonly kernel?: number | undefined;
  readonly seed?: number | undefined;
  /** Groups that get a patch; default all. */
  readonly groups?: readonly number[] | undefined;
}

/** A patch of a model. */
export interface Patch extends PatchPoint {
  /** The prefix of its nodes and weights. */
  readonly name: string;
  /** The name of the value without the patch. */
  readonly before: string;
  readonly reduction: number;
  readonly kernel: number;
  /** Its weights, in the order in which they stand in the model. */
  readonly parameters: readonly string[];
}

const LEAST_HIDDEN = 4;

/**
 * Puts a patch behind groups of a model: h + s ⊙ U(ReLU6(DW(D(h)))), where D narrows the channels, DW is a depthwise convolution, U
 * widens them again and starts as zeros, and s is a factor for each channel. So the model computes what it did, to the bit, until U
 * trains. There is no normalization inside: small batches would shake it. Tokens that fill a grid are convolved on it; others are not.
 * All that reads the value reads the patched one, heads with several taps too. Weights are named `patch.<group>.…`; metadata
 * (`limber.patches`) name the patches. A patch can join others later, if its group has none.
 *
 * Cost: 2C²/ρ + k²·C/ρ + C/ρ + 2C numbers for C channels.
 * Source: PatchLine; residual adapters of Rebuffi et al. 2017, arXiv:1705.08045. Throws: `config.invalid`, `op.unsupported`.
 */
export function attachPatches(model: Model, points: readonly PatchPoint[], options: PatchOptions = {}): Model {
  const { reduction = 8, kernel = 3, seed = 0, groups } = options;
  const present = findPatches(model);
  const wanted = groups ? groups.map((group) => findPoint(points, group)) : points;
  if (!(reduction >= 1) || kernel % 2 !== 1) {
    const message = `patches: a reduction of at least 1 and an odd kernel, got ${reduction} and ${kernel}`;
    throw new LimberError("config.invalid", message, { reduction, kernel });
  }
  const taken = wanted.find(({ group }) => present.some((patch) => patch.group === group));
  if (taken) {
    const message = `patches: groups without a patch, got ${taken.group}, which has one; detach it first`;
    throw new LimberError("config.invalid", message, { group: taken.group });
  }
  const hiddenOf = ({ channels }: PatchPoint): number => Math.max(LEAST_HIDDEN, Math.round(channels / reduction));
  const write = (branch: Branch, x: Val, point: PatchPoint): Val =>
    writePatch(branch, x, point, hiddenOf(point), kernel);
  const attached = addBeside(model, wanted, { base: "patch", seed, write });
  const added = attached.replacements.map(({ before, branch: { name } }, i) => {
    const point = wanted[i]!;
    return { ...point, name, before, reduction, kernel };
  });
  return withPatches(
    attached.model,
    [...present, ...added].toSorted((a, b) => a.group - b.group),
  );
}

function findPoint(points: readonly PatchPoint[], group: number): PatchPoint {
  const point = points.find((each) => each.group === group);
  if (point) return point;
  const known = points.map((each) => each.group).join(", ");
  throw new LimberError("config.invalid", `patches: groups among ${known}, got ${group}`, { group });
}

function writePatch(branch: Branch, x: Val, point: PatchPoint, hidden: number, kernel: number): Val {
  const { emit } = branch;
  const narrow = branch.mix("down", x, hidden, 1);
  const mixed = point.grid
    ? branch.overMap(narrow, point, (map) => branch.conv("depth", map, hidden, kernel, hidden))
    : narrow;
  const wide = branch.mix("up", branch.relu6(mixed), point.channels);
  const scale = branch.fill("scale", point.layout === "map" ? [point.channels, 1, 1] : [point.channels], 1);
  return emit.mul(wide, scale);
}

type Record = Omit<Patch, "parameters">;

const withPatches = (model: Model, patches: readonly Record[]): Model => {
  const metadata = new Map(model.metadata);
  if (patches.length === 0) metadata.delete(PATCHES_KEY);
  else {
    const records = patches.map(
      ({ group, value, channels, layout, stride, grid, name, before, reduction, kernel }) => ({
        ...{ group, value, channels, layout, stride, grid, name, before, reduction, kernel },
      }),
    );
    metadata.set(PATCHES_KEY, JSON.stringify(records));
  }
  return { ...model, metadata };
};

/** The patches of a model, from the image on, by what its metadata say. Throws: `model.malformed` where that is not so. */
export function findPatches({ metadata, graph }: Model): readonly Patch[] {
  const text = metadata.get(PATCHES_KEY);
  if (text === undefined) return [];
  const values = producersOf(graph);
  const records = parseRecords(text);
  const isThere = ({ value, before }: Record): boolean => values.has(value) && values.has(before);
  if (records?.every(isThere))
    return records.map((record) => ({
      ...record,
      parameters: [...graph.initializers.keys()].filter((name) => name.startsWith(`${record.name}.`)),
    }));
  const message = `metadata "${PATCHES_KEY}": the patches of the graph, got something else; attach them again to the model without patches`;
  throw new LimberError("model.malformed", message);
}

function parseRecords(text: string): readonly Record[] | undefined {
  try {
    const records = JSON.parse(text) as readonly Record[];
    const fits = ({ name, value, before, layout, ...numbers }: Record): boolean =>
      [name, value, before].every((each) => typeof each === "string") &&
      ["map", "tokens"].includes(layout) &&
      [numbers.group, numbers.channels, numbers.kernel].every(Number.isInteger);
    return Array.isArray(records) && records.every(fits) ? records : undefined;
  } catch {
    return undefined;
  }
}

/** Weights of the patches of a model, of some groups or all. */
export const patchParameters = (model: Model, groups?: readonly number[]): string[] =>
  findPatches(model).flatMap(({ group, parameters }) => (groups?.includes(group) === false ? [] : parameters));

/** The model without its patches, of some groups or all: what it was before they were attached, to the byte. */
export function detachPatches(model: Model, groups?: readonly number[]): Model {
  const patches = findPatches(model);
  const gone = patches.filter(({ group }) => groups?.includes(group) !== false);
  const restored = new Map(gone.map(({ before, value }) => [before, value]));
  const isOwn = (name: string): boolean =>
    gone.some((patch) => name.startsWith(`${patch.name}/`) || name.startsWith(`${patch.name}.`));
  const rename = (name: string): string => restored.get(name) ?? name;
  const { graph } = model;
  const nodes = graph.nodes.flatMap((node) =>
    isOwn(node.name) ? [] : [{ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) }],
  );
  const keep = <T>(entries: ReadonlyMap<string, T>): Map<string, T> =>
    new Map([...entries].filter(([name]) => !isOwn(name) && !restored.has(name)));
  const bare = { ...graph, nodes, initializers: keep(graph.initializers), types: keep(graph.types) };
  checkGraph(bare);
  return withPatches(
    { ...model, graph: bare },
    patches.filter((patch) => !gone.includes(patch)),
  );
}

/** The model with its patches as layers of its own: factors multiplied into U, nothing in the metadata, nothing to detach. */
export function mergePatches(model: Model): Model {
  const { graph } = model;
  const producers = producersOf(graph);
  const initializers = new Map<string, Tensor>(graph.initializers);
  const replaced = new Map<string, string>();
  for (const { name, value, layout } of findPatches(model)) {
    const product = producers.get(producers.get(value)!.inputs[1]!);
    const scale = initializers.get(`${name}.scale`);
    invariant(product?.op === "Mul" && scale, `patch "${name}" ends in a product with its factors`);
    const factors = scale.data as Float32Array;
    for (const part of ["weight", "bias"]) {
      const key = `${name}.up.${part}`;
      const { dims, data } = initializers.get(key)!;
      // Rows of a convolution, columns of a product: [C, c, 1, 1] and [c, C].
      const inner = layout === "map" ? data.length / factors.length : 1;
      const scaled = (data as Float32Array).map((x, i) => x * factors[Math.floor(i / inner) % factors.length]!);
      initializers.set(key, { dtype: "float32", dims, data: scaled });
    }
    initializers.delete(`${name}.scale`);
    replaced.set(product.outputs[0]!, product.inputs[0]!);
  }
  const nodes = graph.nodes.flatMap((node) =>
    node.outputs.some((name) => replaced.has(name))
      ? []
      : [{ ...node, inputs: node.inputs.map((name) => replaced.get(name) ?? name) }],
  );
  const types = new Map([...graph.types].filter(([name]) => !replaced.has(name)));
  return withPatches({ ...model, graph: { ...graph, nodes, initializers, types } }, []);
}
