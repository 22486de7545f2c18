import { type FloatTensor, LimberError, Random, sizeOf, type Tensor } from "../../base/index.js";
import { attr, checkGraph, type Model, type Node } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";
import type { PatchPoint } from "./split.js";

/** Opset from which the ops of branches are as they are written here. */
const OLDEST = 13;

/** A model with branches beside its layers, and what of it trains. */
export interface Attached {
  readonly model: Model;
  readonly parameters: readonly string[];
}

/** Writes a branch: nodes, and weights under the branch's name. */
export class Branch {
  readonly emit: Emitter;
  readonly initializers = new Map<string, Tensor>();
  private readonly random: Random;

  constructor(
    { opsets }: Model,
    /** Prefix of all that belongs to the branch: nodes and values `name/…`, weights `name.…`. */
    readonly name: string,
    seed: number,
  ) {
    const opset = opsets.get("") ?? 0;
    if (opset < OLDEST) {
      const message = `branches: a model of opset ${OLDEST} or later, got ${opset}; prepare the model first (prepareModel)`;
      throw new LimberError("op.unsupported", message, { opset });
    }
    this.emit = new Emitter(opset, [], `${name}/`);
    this.random = new Random(seed).fork(name);
  }

  /** Normal numbers that keep the variance of `fanIn` terms times `gain`: 2 where a ReLU follows. */
  normal(part: string, dims: readonly number[], fanIn: number, gain: 1 | 2): Val {
    const deviation = Math.sqrt(gain / fanIn);
    return this.parameter(part, dims, () => this.random.normal(0, deviation));
  }

  fill(part: string, dims: readonly number[], value: number): Val {
    return this.parameter(part, dims, () => value);
  }

  relu6(x: Val): Val {
    const { emit } = this;
    return emit.node("Clip", [x, emit.scalar(0, x), emit.scalar(6, x)])[0];
  }

  /** Channels of another number, by a 1×1 convolution of a map or by a product of tokens; zeros without a gain. */
  mix(part: string, x: Val, outputs: number, gain?: 1 | 2): Val {
    const isMap = x.dims.length === 4;
    const inputs = isMap ? x.dims[1]! : x.dims.at(-1)!;
    const dims = isMap ? [outputs, inputs, 1, 1] : [inputs, outputs];
    const weight = gain ? this.normal(`${part}.weight`, dims, inputs, gain) : this.fill(`${part}.weight`, dims, 0);
    const bias = this.fill(`${part}.bias`, [outputs], 0);
    return isMap ? this.emit.node("Conv", [x, weight, bias])[0] : this.emit.add(this.emit.matMul(x, weight), bias);
  }

  /** A convolution that keeps the size of its map. */
  conv(part: string, x: Val, outputs: number, kernel: number, groups = 1): Val {
    const dims = [outputs, x.dims[1]! / groups, kernel, kernel];
    const weight = this.normal(`${part}.weight`, dims, dims[1]! * kernel ** 2, 2);
    const pad = Math.floor(kernel / 2);
    const attributes = { group: attr.int(groups), pads: attr.ints([pad, pad, pad, pad]) };
    return this.emit.node("Conv", [x, weight], attributes)[0];
  }

  /** Means of squares of so many places; a square of one is left out. */
  shrink(x: Val, by: number): Val {
    if (by === 1) return x;
    const window = attr.ints([by, by]);
    return this.emit.node("AveragePool", [x], { kernel_shape: window, strides: window })[0];
  }

  /** The value of a point as a static type: sizes are those of the point, for one image. */
  read({ layout, channels, grid }: PatchPoint, name: string): Val {
    const [rows, columns] = grid ?? [2, 2];
    const dims = layout === "map" ? [1, channels, rows, columns] : [1, rows * columns, channels];
    return this.emit.value(name, { dtype: "float32", dims });
  }

  /** Lets `write` work on a map, where tokens fill a grid; what it gives keeps rows and columns. */
  overMap(x: Val, { grid }: PatchPoint, write: (map: Val) => Val): Val {
    if (x.dims.length === 4 || !grid) return write(x);
    const { emit } = this;
    const map = (tokens: Val): Val => emit.reshape(emit.transpose(tokens, [0, 2, 1]), [0, tokens.dims[2]!, ...grid]);
    const y = write(map(x));
    return emit.transpose(emit.reshape(y, [0, y.dims[1]!, grid[0] * grid[1]]), [0, 2, 1]);
  }

  private parameter(part: string, dims: readonly number[], draw: () => number): Val {
    const name = `${this.name}.${part}`;
    const value: FloatTensor = { dtype: "float32", dims, data: Float32Array.from({ length: sizeOf(dims) }, draw) };
    this.initializers.set(name, value);
    return this.emit.value(name, value);
  }
}

/** A value in whose place another comes. */
export interface Replacement {
  readonly value: string;
  /** The name that the old value gets. */
  readonly before: string;
  /** Everything that is written for it; the last node defines the new value. */
  readonly branch: Branch;
}

/** A value with a branch beside it: y = x + write(x). The branch has to give zeros at first. */
export function besidePoint(
  model: Model,
  point: PatchPoint,
  { name, seed, write }: { name: string; seed: number; write: (branch: Branch, x: Val) => Val },
): Replacement {
  const branch = new Branch(model, name, seed);
  const before = new Emitter(1, namesOf(model)).freshName(`${point.value}:unpatched`);
  const x = branch.read(point, before);
  branch.emit.add(x, write(branch, x));
  return { value: point.value, before, branch };
}

/** A model with a branch beside each of some values, and the weights of these. */
export function addBeside(
  model: Model,
  points: readonly PatchPoint[],
  { base, seed, write }: { base: string; seed: number; write: (branch: Branch, x: Val, point: PatchPoint) => Val },
): Attached {
  const names = namesOf(model);
  const replacements = points.map((point) =>
    besidePoint(model, point, {
      ...{ name: freePrefix(names, `${base}.${point.group}`), seed },
      write: (branch, x) => write(branch, x, point),
    }),
  );
  const parameters = replacements.flatMap(({ branch }) => [...branch.initializers.keys()]);
  return { model: replaceValues(model, replacements), parameters };
}

/**
 * Puts what branches compute into the places of values: all that read a value read the new one, outputs of the model included, and the
 * old value goes on under the name `before`. Types, weights and order of everything else stay as they are.
 */
export function replaceValues(model: Model, replacements: readonly Replacement[]): Model {
  const { graph } = model;
  const byValue = new Map(replacements.map((each) => [each.value, each]));
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    const found = node.outputs.flatMap((name) => byValue.get(name) ?? []);
    if (found.length === 0) return [node];
    const renamed = { ...node, outputs: node.outputs.map((name) => byValue.get(name)?.before ?? name) };
    return [renamed, ...found.flatMap(({ branch, value }) => endingIn(branch.emit.drain(), value))];
  });
  const initializers = new Map([
    ...graph.initializers,
    ...replacements.flatMap(({ branch }) => [...branch.initializers]),
  ]);
  const changed = { ...model, graph: { ...graph, nodes, initializers } };
  checkGraph(changed.graph);
  return changed;
}

const endingIn = (nodes: readonly Node[], value: string): Node[] =>
  nodes.map((node, i) => (i === nodes.length - 1 ? { ...node, outputs: [value] } : node));

/** Names that a model uses for anything. */
export const namesOf = ({ graph }: Model): Set<string> =>
  new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initializers.keys(),
    ...graph.nodes.flatMap(({ name, outputs }) => [name, ...outputs]),
  ]);

/** `base`, or `base_1`, `base_2`…: a prefix under which there are no names yet. */
export function freePrefix(names: ReadonlySet<string>, base: string): string {
  const isTaken = (prefix: string): boolean =>
    [...names].some((name) => name.startsWith(`${prefix}/`) || name.startsWith(`${prefix}.`));
  let prefix = base;
  for (let i = 1; isTaken(prefix); i++) prefix = `${base}_${i}`;
  return prefix;
}

/** Throws: `method.unsuitable` for tokens that fill no grid. */
export function requireGrid(subject: string, { value, grid }: PatchPoint): readonly [number, number] {
  if (grid) return grid;
  const message = `${subject}: values on a grid, got "${value}", tokens that fill none; use patches instead`;
  throw new LimberError("method.unsuitable", message, { value });
}
