import {
  type DType,
  formatShape,
  int64s,
  invariant,
  LimberError,
  sameShape,
  type Tensor,
  tensorOf,
} from "../../base/index.js";
import {
  attr,
  type Attributes,
  AttributeReader,
  DTYPE_CODES,
  type Graph,
  type Node,
  type TensorType,
} from "../ir/index.js";
import { findOpType } from "./catalog.js";
import { inferNode } from "./shape/infer.js";

/** A value while a graph is being written: its name and its full static type. */
export interface Val {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
}

type Scalar = number;

/**
 * Writes nodes at the end of a graph, with fresh names and inferred static shapes.
 * Scalars become `Constant` nodes that keep the double, so that the reference interpreter sees the number as written.
 */
export class Emitter {
  readonly nodes: Node[] = [];
  readonly types = new Map<string, TensorType>();
  /** Values that no gradient goes back through. */
  readonly detached = new Set<string>();
  private readonly taken: Set<string>;
  private readonly constants = new Map<string, Val>();
  private readonly known = new Map<string, Tensor>();
  private readonly counters = new Map<string, number>();

  constructor(
    /** Version of the standard domain in which nodes are written. */
    readonly opset: number,
    /** Names that are in use already. */
    taken: Iterable<string> = [],
    private readonly prefix = "",
  ) {
    this.taken = new Set(taken);
  }

  /** A name that is free: `base`, else `base_1`, `base_2`… */
  freshName(base: string): string {
    let name = base;
    while (this.taken.has(name)) {
      const count = (this.counters.get(base) ?? 0) + 1;
      this.counters.set(base, count);
      name = `${base}_${count}`;
    }
    this.taken.add(name);
    return name;
  }

  /** Writes one node. Outputs get static types from the shape rule of the op; `domain` only for ops outside of the standard. */
  node(
    op: string,
    inputs: readonly (Val | undefined)[],
    attributes: Attributes = {},
    options: { outputs?: number; domain?: string; name?: string } = {},
  ): [Val, ...Val[]] {
    const name = this.freshName(this.prefix + (options.name ?? op));
    const count = options.outputs ?? 1;
    const outputs = Array.from({ length: count }, (_, i) => this.freshName(`${name}:out${i || ""}`));
    const node: Node = {
      op,
      domain: options.domain ?? "",
      name,
      inputs: inputs.map((v) => v?.name ?? ""),
      outputs,
      attributes,
    };
    const type = findOpType(node);
    if (!type)
      throw new LimberError("op.unsupported", `emit: an op of the catalog, got ${op} with ${Object.keys(attributes)}`);
    const context = { node, attributes: new AttributeReader(attributes, node), opset: this.opset, inputs };
    const types = inferNode(type, { ...context, constant: (i) => this.known.get(inputs[i]?.name ?? "") });
    this.nodes.push(node);
    const values = outputs.map((output, i) => this.declare(output, types[i], node));
    return values as [Val, ...Val[]];
  }

  private declare(name: string, type: TensorType | undefined, node: Node): Val {
    if (!type?.dims?.every((d): d is number => typeof d === "number")) {
      const message = `emit ${node.op} "${node.name}": a static shape, got ${type?.dims ? formatShape(type.dims) : "none"}`;
      throw new LimberError("shape.unknown", message, { op: node.op, node: node.name });
    }
    this.types.set(name, type);
    return { name, dtype: type.dtype, dims: type.dims };
  }

  /** Brings a value of an existing graph into scope. */
  value(name: string, type: TensorType, constant?: Tensor): Val {
    invariant(
      type.dims?.every((d) => typeof d === "number"),
      `value "${name}" needs a static shape`,
    );
    if (constant) this.known.set(name, constant);
    return { name, dtype: type.dtype, dims: type.dims };
  }

  /** What a value is known to hold before running, if anything. */
  constantOf(value: Val | undefined): Tensor | undefined {
    return value && this.known.get(value.name);
  }

  /** A scalar constant of the element type of `like`; equal ones are shared. */
  scalar(value: Scalar, like: Pick<Val, "dtype">): Val {
    return this.shared(`${like.dtype}:${value}`, () => {
      const [constant] = this.node("Constant", [], { value_float: attr.float(value) }, { name: "scalar" });
      return like.dtype === "float32" ? constant : this.cast(constant, like.dtype);
    });
  }

  /** A list of whole numbers (shapes, axes, starts); equal ones are shared. */
  ints(values: readonly number[]): Val {
    return this.shared(`ints:${values.join(",")}`, () => {
      const [constant] = this.node("Constant", [], { value_ints: attr.ints(values) }, { name: "ints" });
      this.known.set(constant.name, int64s(values));
      return constant;
    });
  }

  /** A constant tensor. */
  tensor(value: Tensor, name = "tensor"): Val {
    const [constant] = this.node("Constant", [], { value: attr.tensor(value) }, { name });
    this.known.set(constant.name, value);
    return constant;
  }

  /** A constant that is written at its first use only. */
  shared(key: string, create: () => Val): Val {
    const existing = this.constants.get(key);
    if (existing) return existing;
    const created = create();
    this.constants.set(key, created);
    return created;
  }

  private one(op: string, inputs: readonly (Val | undefined)[], attributes: Attributes = {}): Val {
    return this.node(op, inputs, attributes)[0];
  }

  private lift(value: Val | Scalar, like: Val): Val {
    return typeof value === "number" ? this.scalar(value, like) : value;
  }

  add = (a: Val, b: Val | Scalar): Val => (b === 0 ? a : this.one("Add", [a, this.lift(b, a)]));
  sub = (a: Val, b: Val | Scalar): Val => (b === 0 ? a : this.one("Sub", [a, this.lift(b, a)]));
  mul = (a: Val, b: Val | Scalar): Val => (b === 1 ? a : this.one("Mul", [a, this.lift(b, a)]));
  div = (a: Val, b: Val | Scalar): Val => (b === 1 ? a : this.one("Div", [a, this.lift(b, a)]));
  pow = (a: Val, b: Val | Scalar): Val => this.one("Pow", [a, this.lift(b, a)]);
  max = (a: Val, b: Val | Scalar): Val => this.one("Max", [a, this.lift(b, a)]);
  min = (a: Val, b: Val | Scalar): Val => this.one("Min", [a, this.lift(b, a)]);
  greater = (a: Val, b: Val | Scalar): Val => this.one("Greater", [a, this.lift(b, a)]);
  less = (a: Val, b: Val | Scalar): Val => this.one("Less", [a, this.lift(b, a)]);
  equal = (a: Val, b: Val | Scalar): Val => this.one("Equal", [a, this.lift(b, a)]);
  where = (condition: Val, a: Val | Scalar, b: Val | Scalar): Val => {
    const like = typeof a === "number" ? (b as Val) : a;
    return this.one("Where", [condition, this.lift(a, like), this.lift(b, like)]);
  };
  neg = (a: Val): Val => this.one("Neg", [a]);
  abs = (a: Val): Val => this.one("Abs", [a]);
  sign = (a: Val): Val => this.one("Sign", [a]);
  exp = (a: Val): Val => this.one("Exp", [a]);
  log = (a: Val): Val => this.one("Log", [a]);
  sqrt = (a: Val): Val => this.one("Sqrt", [a]);
  tanh = (a: Val): Val => this.one("Tanh", [a]);
  relu = (a: Val): Val => this.one("Relu", [a]);
  sigmoid = (a: Val): Val => this.one("Sigmoid", [a]);
  reciprocal = (a: Val): Val => this.one("Reciprocal", [a]);
  softmax = (a: Val, axis: number): Val => this.one("Softmax", [a], { axis: attr.int(axis) });
  logSoftmax = (a: Val, axis: number): Val => this.one("LogSoftmax", [a], { axis: attr.int(axis) });
  matMul = (a: Val, b: Val): Val => this.one("MatMul", [a, b]);

  /** `alpha · op(A) · op(B)` over the last two axes; one kernel, no transposed copies. */
  fusedMatMul(a: Val, b: Val, options: { transA?: boolean; transB?: boolean; alpha?: number } = {}): Val {
    const attributes: Record<string, ReturnType<typeof attr.int>> = {};
    if (options.transA) attributes.transA = attr.int(1);
    if (options.transB) attributes.transB = attr.int(1);
    if (options.alpha !== undefined && options.alpha !== 1) attributes.alpha = attr.float(options.alpha);
    if (Object.keys(attributes).length === 0) return this.matMul(a, b);
    return this.node("FusedMatMul", [a, b], attributes, { domain: "com.microsoft" })[0];
  }

  einsum = (equation: string, operands: readonly Val[]): Val =>
    this.one("Einsum", operands, { equation: attr.string(equation) });

  cast(a: Val, dtype: DType): Val {
    return a.dtype === dtype ? a : this.one("Cast", [a], { to: attr.int(DTYPE_CODES[dtype]) });
  }

  reshape(a: Val, dims: readonly number[]): Val {
    return sameShape(a.dims, dims) ? a : this.one("Reshape", [a, this.ints(dims)]);
  }

  transpose(a: Val, perm: readonly number[]): Val {
    return perm.every((p, i) => p === i) ? a : this.one("Transpose", [a], { perm: attr.ints(perm) });
  }

  expand(a: Val, dims: readonly number[]): Val {
    return sameShape(a.dims, dims) ? a : this.one("Expand", [a, this.ints(dims)]);
  }

  /** Each element `times` over along each axis. Shapes: [d…] → [d · times…]. */
  repeat(a: Val, times: readonly number[]): Val {
    if (times.every((count) => count === 1)) return a;
    const scales = this.tensor(tensorOf("float32", [times.length], times), "scales");
    return this.one("Resize", [a, undefined, scales], {
      mode: attr.string("nearest"),
      coordinate_transformation_mode: attr.string("asymmetric"),
      nearest_mode: attr.string("floor"),
    });
  }

  concat(parts: readonly Val[], axis: number): Val {
    return parts.length === 1 ? parts[0]! : this.one("Concat", parts, { axis: attr.int(axis) });
  }

  /** `a[starts:ends:steps]` along `axes`; an end of `null` means "to the end" (or past the start for negative steps). */
  slice(
    a: Val,
    axes: readonly number[],
    starts: readonly number[],
    ends: readonly number[],
    steps?: readonly number[],
  ): Val {
    const whole = axes.every((axis, i) => starts[i] === 0 && ends[i] === a.dims[axis] && (steps?.[i] ?? 1) === 1);
    if (whole) return a;
    const inputs = [a, this.ints(starts), this.ints(ends), this.ints(axes)];
    return this.one("Slice", steps ? [...inputs, this.ints(steps)] : inputs);
  }

  /** Zero padding; `pads` as in ONNX: all starts, then all ends. */
  pad(a: Val, pads: readonly number[]): Val {
    return pads.every((p) => p === 0) ? a : this.one("Pad", [a, this.ints(pads)]);
  }

  reduceSum(a: Val, axes: readonly number[], keepdims = false): Val {
    if (axes.length === 0) return a;
    return this.one("ReduceSum", [a, this.ints(axes)], { keepdims: attr.int(keepdims ? 1 : 0) });
  }

  reduceMean = (a: Val, axes: readonly number[], keepdims = false): Val => this.reduce("ReduceMean", a, axes, keepdims);
  reduceMax = (a: Val, axes: readonly number[], keepdims = false): Val => this.reduce("ReduceMax", a, axes, keepdims);

  /** Axes became an input of these in opset 18. */
  private reduce(op: string, a: Val, axes: readonly number[], keepdims: boolean): Val {
    const keep = { keepdims: attr.int(keepdims ? 1 : 0) };
    return this.opset >= 18
      ? this.one(op, [a, this.ints(axes)], keep)
      : this.one(op, [a], { ...keep, axes: attr.ints(axes) });
  }

  /** Sum over every axis. Shapes: any → []. */
  sumAll = (a: Val): Val =>
    this.reduceSum(
      a,
      a.dims.map((_, i) => i),
    );
  meanAll = (a: Val): Val =>
    this.reduceMean(
      a,
      a.dims.map((_, i) => i),
    );

  /** A per-channel vector ready to broadcast. Shapes: [C] → [1, C, 1, …] of the given rank. */
  perChannel(a: Val, rank: number): Val {
    return this.reshape(a, [1, a.dims[0]!, ...Array<number>(rank - 2).fill(1)]);
  }

  /** Sum over all axes but the channel's. Shapes: [N, C, …] → [C]. */
  sumToChannel(a: Val): Val {
    return this.reduceSum(
      a,
      a.dims.flatMap((_, i) => (i === 1 ? [] : [i])),
    );
  }

  /** Undoes broadcasting: sums over the axes along which `dims` was stretched. The one place where this is done. */
  unbroadcast(a: Val, dims: readonly number[]): Val {
    const lead = a.dims.length - dims.length;
    const axes = a.dims.flatMap((d, i) => (i < lead || (dims[i - lead] === 1 && d !== 1) ? [i] : []));
    return this.reshape(this.reduceSum(a, axes, true), dims);
  }

  /** The same value, as a constant to whoever differentiates. */
  detach(a: Val): Val {
    const same = this.one("Identity", [a]);
    this.detached.add(same.name);
    return same;
  }

  /** Takes the nodes written since the last call: for passes that write between existing nodes. */
  drain(): Node[] {
    return this.nodes.splice(0);
  }

  /** The nodes written so far appended to a graph, in order. */
  appendTo(graph: Graph, outputs: Graph["outputs"] = graph.outputs): Graph {
    return {
      ...graph,
      outputs,
      nodes: [...graph.nodes, ...this.nodes],
      types: new Map([...graph.types, ...this.types]),
    };
  }
}
