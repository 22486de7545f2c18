import { LimberError } from "../../base/index.js";
import { checkGraph, type Model, producersOf } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { besidePoint, type Branch, freePrefix, namesOf, type Replacement, replaceValues } from "./branch.js";
import { writeLite } from "./lite-residual.js";
import { besideLayers } from "./low-rank.js";
import { writeResidual } from "./residual.js";
import type { PatchPoint } from "./split.js";

export const PATCHES_KEY = "limber.patches";

/** What a patch is made of. */
export const PATCH_FORMS = ["residual", "low-rank", "joint"] as const;
export type PatchForm = (typeof PATCH_FORMS)[number];

export interface PatchOptions {
  /**
   * `residual`: an adapter behind each group; `low-rank`: changes of the layers inside; `joint`: those, and a branch behind the group that
   * sees its surroundings at half the resolution. Default residual.
   */
  readonly form?: PatchForm | undefined;
  /** Residual: channels of the value over channels inside of the patch, of which there are at least four. Default 8. */
  readonly reduction?: number | undefined;
  /** Residual: side of the depthwise window; default 3. */
  readonly kernel?: number | undefined;
  /** Low-rank and joint: channels between the two new kernels; default 4. */
  readonly rank?: number | undefined;
  readonly seed?: number | undefined;
  /** Groups that get a patch; default all. */
  readonly groups?: readonly number[] | undefined;
}

/** The form of a patch and its sizes. */
export type PatchShape =
  | { readonly form: "residual"; readonly reduction: number; readonly kernel: number }
  | { readonly form: "low-rank" | "joint"; readonly rank: number };

/** A value that a patch changes. */
export interface Replaced extends Pick<Replacement, "value" | "before"> {
  /** The prefix of the nodes and weights that change it. */
  readonly branch: string;
  /** Whether it is the value of a layer whose weight the change can be added to. */
  readonly isLayer: boolean;
}

/** A patch of a model. */
export interface Patch extends PatchPoint {
  /** The prefix of its nodes and weights. */
  readonly name: string;
  readonly shape: PatchShape;
  readonly replaced: readonly Replaced[];
  /** Its weights, in the order in which they stand in the model. */
  readonly parameters: readonly string[];
}

/**
 * Puts patches into groups of a model, by default behind them: h + P(h). Either form ends in zeros, so the model computes what it did,
 * to the bit, until they train. All that reads a value reads the patched one, heads with several taps too. Weights are named
 * `patch.<group>.…`; metadata (`limber.patches`) name the patches. A patch can join others later, if its group has none.
 *
 * Cost: see `writeResidual`, `besideLayers`. Source: PatchLine. Throws: `config.invalid`, `op.unsupported`, `method.unsuitable`.
 */
export function attachPatches(model: Model, points: readonly PatchPoint[], options: PatchOptions = {}): Model {
  const { seed = 0, groups } = options;
  const shape = shapeOf(options);
  const present = findPatches(model);
  const wanted = groups ? groups.map((group) => findPoint(points, group)) : points;
  const taken = wanted.find(({ group }) => present.some((patch) => patch.group === group));
  if (taken) {
    const message = `patches: groups without a patch, got ${taken.group}, which has one; detach it first`;
    throw new LimberError("config.invalid", message, { group: taken.group });
  }
  const names = namesOf(model);
  const added = wanted.map((point) => {
    const name = freePrefix(names, `patch.${point.group}`);
    return { point, name, replacements: writePatch(model, point, { name, seed, shape }) };
  });
  const records = added.map(({ point, name, replacements }) => {
    const replaced = replacements.map(({ value, before, branch, isLayer }) => ({
      ...{ value, before, branch: branch.name, isLayer },
    }));
    return { ...point, name, shape, replaced };
  });
  return withPatches(
    replaceValues(
      model,
      added.flatMap(({ replacements }) => replacements),
    ),
    [...present, ...records].toSorted((a, b) => a.group - b.group),
  );
}

function shapeOf({ form = "residual", reduction = 8, kernel = 3, rank = 4 }: PatchOptions): PatchShape {
  if (!(reduction >= 1) || kernel % 2 !== 1 || !(rank >= 1) || !Number.isInteger(rank)) {
    const message = `patches: a reduction of at least 1, an odd kernel and a whole rank from 1 on, got ${reduction}, ${kernel} and ${rank}`;
    throw new LimberError("config.invalid", message, { reduction, kernel, rank });
  }
  return form === "residual" ? { form, reduction, kernel } : { form, rank };
}

function writePatch(
  model: Model,
  point: PatchPoint,
  { name, seed, shape }: { readonly name: string; readonly seed: number; readonly shape: PatchShape },
): (Replacement & { readonly isLayer: boolean })[] {
  const layers =
    shape.form === "residual"
      ? []
      : besideLayers(model, point, { name, seed, rank: shape.rank, joint: shape.form === "joint" });
  const behind = (part: string, write: (branch: Branch, x: Val) => Val): Replacement =>
    besidePoint(model, point, { name: `${name}${part}`, seed, write });
  const last =
    shape.form === "residual"
      ? [behind("", (branch, x) => writeResidual(branch, x, point, shape))]
      : shape.form === "joint" && point.grid
        ? [behind(".behind", (branch, x) => writeLite(branch, x, point))]
        : [];
  return [...layers.map((each) => ({ ...each, isLayer: true })), ...last.map((each) => ({ ...each, isLayer: false }))];
}

function findPoint(points: readonly PatchPoint[], group: number): PatchPoint {
  const point = points.find((each) => each.group === group);
  if (point) return point;
  const known = points.map((each) => each.group).join(", ");
  throw new LimberError("config.invalid", `patches: groups among ${known}, got ${group}`, { group });
}

type Record = Omit<Patch, "parameters">;

const withPatches = (model: Model, patches: readonly Record[]): Model => {
  const metadata = new Map(model.metadata);
  if (patches.length === 0) metadata.delete(PATCHES_KEY);
  else {
    const records = patches.map(({ group, value, after, channels, layout, stride, grid, name, shape, replaced }) => ({
      ...{ group, value, after, channels, layout, stride, grid, name, shape, replaced },
    }));
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
  const isThere = ({ replaced }: Record): boolean =>
    replaced.every(({ value, before }) => values.has(value) && values.has(before));
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
    const fits = ({ name, value, replaced, shape, layout, group, channels }: Record): boolean =>
      [name, value].every((each) => typeof each === "string") &&
      ["map", "tokens"].includes(layout) &&
      PATCH_FORMS.includes(shape.form) &&
      Array.isArray(replaced) &&
      [group, channels].every(Number.isInteger);
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
  const bare = withoutBranches(
    model,
    gone.flatMap(({ replaced }) => replaced),
  );
  return withPatches(
    bare,
    patches.filter((patch) => !gone.includes(patch)),
  );
}

/** The model with values as they are without some branches, and without these. */
export function withoutBranches(model: Model, replaced: readonly Replaced[]): Model {
  const { graph } = model;
  const restored = new Map(replaced.map(({ before, value }) => [before, value]));
  const prefixes = replaced.flatMap(({ branch }) => [`${branch}/`, `${branch}.`]);
  const isOwn = (name: string): boolean => prefixes.some((prefix) => name.startsWith(prefix));
  const rename = (name: string): string => restored.get(name) ?? name;
  const nodes = graph.nodes.flatMap((node) =>
    isOwn(node.name) ? [] : [{ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) }],
  );
  const keep = <T>(entries: ReadonlyMap<string, T>): Map<string, T> =>
    new Map([...entries].filter(([name]) => !isOwn(name) && !restored.has(name)));
  const bare = { ...graph, nodes, initializers: keep(graph.initializers), types: keep(graph.types) };
  checkGraph(bare);
  return { ...model, graph: bare };
}
