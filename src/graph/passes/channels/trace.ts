import { type Tensor, toNumbers } from "../../../base/index.js";
import { attributesOf, type Dim, type Graph, type Model, type Node, readsOf } from "../../ir/index.js";
import { type Axis, channelTable, type ChannelContext, findOpType, Labels, NOT_A_CHANNEL } from "../../ops/index.js";
import type { Binding } from "../bind.js";
import { opsetOf } from "../knowledge.js";
import { inferShapes } from "../shapes.js";

/** One axis of one initializer. */
export interface WeightAxis {
  readonly name: string;
  readonly axis: number;
  readonly labels: Axis;
}

/** What a walk over the graph found: the labels of every axis of every value. */
export interface ChannelTrace {
  readonly labels: Labels;
  readonly axes: ReadonlyMap<string, readonly Axis[]>;
  /** In the order in which nodes read them. */
  readonly weights: readonly WeightAxis[];
  /** Axes of weights that an op sums over. */
  readonly consumed: ReadonlySet<Axis>;
}

/** How a node is called in a reason. */
export const callNode = ({ op, name, outputs }: Node): string => `${op} "${name || outputs[0]}"`;

/**
 * Labels the axes of all values, node by node: what has to be removed together gets one label.
 * What no rule follows keeps its axes whole, and so does what the borders of the graph promise.
 */
export function traceChannels(model: Model, binding: Binding): ChannelTrace {
  const tracer = new Tracer(model, inferShapes(model, { batch: 1, ...binding }).graph);
  for (const node of model.graph.nodes) tracer.visit(node);
  return tracer.finish();
}

class Tracer implements ChannelTrace {
  readonly labels = new Labels();
  readonly axes = new Map<string, readonly Axis[]>();
  readonly weights: WeightAxis[] = [];
  readonly consumed = new Set<Axis>();
  /** Values that decide over other shapes, and the node that reads them so. */
  private readonly settings: (readonly [value: string, reader: Node])[] = [];
  private readonly constants: ReadonlyMap<string, Tensor>;
  private readonly opset: number;

  constructor(
    model: Model,
    private readonly bound: Graph,
  ) {
    this.opset = opsetOf(model);
    this.constants = constantsOf(model.graph);
    for (const { name, dims } of bound.inputs) {
      // The axis after the batch holds the channels of a picture; what is along the others nobody calls channels.
      const axes = sizesOf(dims).map((size, i) =>
        this.labels.fixed(size, i === 1 ? `graph input "${name}"` : NOT_A_CHANNEL),
      );
      this.axes.set(name, axes);
    }
  }

  visit(node: Node): void {
    const op = findOpType(node);
    const entry = op ? channelTable[op] : "opaque";
    const known = [...node.inputs, ...node.outputs].every((name) => name === "" || this.hasRank(name));
    if (entry === "opaque" || !known) return this.block(node, op ? "does not let channels pass" : "is an unknown op");
    const asked = new Set<number>();
    const context: ChannelContext = {
      node,
      attributes: attributesOf(node),
      opset: this.opset,
      labels: this.labels,
      axes: (index) => {
        asked.add(index);
        return this.axesOf(node.inputs[index] ?? "");
      },
      constant: (index) => numbersOf(this.constants.get(node.inputs[index] ?? "")),
      sizes: node.outputs.map((name) => this.sizesOf(name)),
      freeze: (axis, why) => this.labels.freeze(axis, `${callNode(node)} ${why}`),
      ignore: (axes) => axes.forEach((axis) => this.labels.freeze(axis, NOT_A_CHANNEL)),
      consume: (index, axis) => {
        if (this.bound.initializers.has(node.inputs[index]!)) this.consumed.add(axis);
      },
    };
    const outputs = (typeof entry === "function" ? entry : entry.trace)(context);
    const fits = node.outputs.every((name, i) => name === "" || sameSizes(outputs[i], context.sizes[i]!));
    if (!fits) return this.block(node, "does not let channels pass in this form");
    node.outputs.forEach((name, i) => this.axes.set(name, outputs[i] ?? []));
    node.inputs.forEach((name, i) => {
      if (!asked.has(i)) this.settings.push([name, node]);
    });
  }

  /** What leaves the graph stays whole, and so do weights that somewhere serve as settings. */
  finish(): ChannelTrace {
    for (const { name } of this.bound.outputs)
      for (const axis of this.axesOf(name)) this.labels.freeze(axis, `graph output "${name}"`);
    for (const [value, reader] of this.settings)
      for (const axis of this.axes.get(value) ?? [])
        this.labels.freeze(axis, `${callNode(reader)} reads it as a setting`);
    return this;
  }

  private block(node: Node, why: string): void {
    for (const name of readsOf(node))
      for (const axis of this.axesOf(name)) this.labels.freeze(axis, `${callNode(node)} ${why}`);
    for (const name of node.outputs) {
      const axes = this.sizesOf(name).map((size) => this.labels.fixed(size, `${callNode(node)} ${why}`));
      this.axes.set(name, axes);
    }
  }

  private axesOf(value: string): readonly Axis[] {
    const tensor = this.bound.initializers.get(value);
    if (tensor && !this.axes.has(value)) {
      const axes = tensor.dims.map((size) => (size === 1 ? this.labels.fixed(1) : this.labels.fresh(size)));
      this.axes.set(value, axes);
      axes.forEach((labels, axis) => this.weights.push({ name: value, axis, labels }));
    }
    return this.axes.get(value) ?? [];
  }

  private sizesOf(value: string): readonly number[] {
    return sizesOf(this.bound.types.get(value)?.dims);
  }

  private hasRank(value: string): boolean {
    const types = [this.bound.types.get(value), this.bound.initializers.get(value)];
    return types.some((type) => type?.dims !== undefined) || this.axes.has(value);
  }
}

const sizesOf = (dims: readonly Dim[] | undefined): number[] =>
  (dims ?? []).map((dim) => (typeof dim === "number" ? dim : 0));

const sameSizes = (axes: readonly Axis[] | undefined, sizes: readonly number[]): boolean =>
  axes?.length === sizes.length && axes.every((axis, i) => axis.length === sizes[i] || axis.length * sizes[i]! === 0);

/** Tensors that the file writes down, as initializers or in Constant nodes. */
function constantsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const replaceable = new Set(graph.inputs.map(({ name }) => name));
  return new Map([...graph.initializers].filter(([name]) => !replaceable.has(name)));
}

/** Element types that settings come in. */
const READABLE = new Set(["int64", "int32", "float32"]);
export const numbersOf = (tensor: Tensor | undefined): readonly number[] | undefined =>
  tensor && READABLE.has(tensor.dtype) ? toNumbers(tensor) : undefined;
