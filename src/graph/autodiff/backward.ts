import {
  formatShape,
  int64s,
  invariant,
  isFloat,
  LimberError,
  scalar,
  type Tensor,
  tensorOf,
} from "../../base/index.js";
import { ancestorsOf, attributesOf, type Graph, type Node, type TensorType } from "../ir/index.js";
import {
  catalog,
  type Choose,
  type Emitter,
  findGradientObstacle,
  findOpType,
  type GradientRule,
  gradientTable,
  nameInputs,
  type NoGradient,
  type OpType,
  type Thunk,
  type Val,
} from "../ops/index.js";
import type { Rows } from "./rows.js";
import { type Call, createTake, followRows, narrow } from "./rows-narrow.js";

export interface BackwardOptions {
  /** Name of a scalar value of the graph. */
  readonly loss: string;
  /** Names of the values to differentiate by; inner values are allowed. */
  readonly wrt: readonly string[];
  /** Of these values only the gradient at some rows is wanted: it has the shape of the rows, and costs no more than they. */
  readonly rows?: ReadonlyMap<string, Rows> | undefined;
  /** Writes the gradient nodes; it must know the names of the graph as taken. */
  readonly emit: Emitter;
  /** Picks among formulations of a convolution's gradients; default: the built-in rules. */
  readonly choose?: Choose | undefined;
}

/**
 * Reverse-mode differentiation, graph to graph: writes the nodes that compute ∂loss/∂v for every v of `wrt`.
 *
 * Only nodes on a path from a value of `wrt` to the loss are visited. A value without such a path has no entry in the
 * result: whether that means zero or a mistake is for the caller to say.
 * Cost: linear in nodes; the nodes written compute about twice the forward pass.
 * Throws: `gradient.missing` when a path leads through an op without a gradient, `op.unsupported` for a form of an op
 * without one, `shape.unknown` when a type on a path is not static.
 * Source: Baur & Strassen 1983; Griewank & Walther 2008, §3.2.
 */
export function backward(graph: Graph, { loss, wrt, rows, emit, choose }: BackwardOptions): Map<string, Val> {
  const scope = new Scope(graph, emit, choose);
  const active = findActive(graph, wrt, scope);
  const contributions = new Map<string, Val[]>();
  const gradients = new Map<string, Val>();
  const wanted = new Set(wrt);
  const partial = followRows(graph, rows ?? new Map(), (name) => scope.value(name).dims);
  const take = createTake(emit);
  /** The finished gradient of a value: all its readers stand behind it and have been visited. */
  const finish = (name: string): Val | undefined => {
    const parts = contributions.get(name);
    if (!parts) return undefined;
    const total = parts.length <= 2 ? parts.reduce((a, b) => emit.add(a, b)) : emit.node("Sum", parts)[0];
    if (wanted.has(name)) gradients.set(name, total);
    return total;
  };
  const callOf = (node: Node, dOutputs: Call["dOutputs"]): Call => {
    const [inputs, outputs] = [node.inputs, node.outputs].map((names) => names.map((name) => scope.find(name)));
    const carried = partial.has(node.outputs[0]!) ? partial.get(node.inputs[0]!) : undefined;
    return {
      node,
      inputs: carried ? inputs!.with(0, take(inputs![0]!, carried)) : inputs!,
      outputs: outputs!,
      dOutputs,
    };
  };
  const gradientAt = (call: Call, index: number, thunk: Thunk): Val => {
    const wantedRows = partial.has(call.node.outputs[0]!) ? undefined : partial.get(call.node.inputs[index]!);
    if (!wantedRows) return gradientOf(call, index, thunk, emit);
    const part = narrow(call, index, wantedRows, take);
    return part
      ? gradientOf(part, index, thunksOf(part, scope)[index]!, emit)
      : take(gradientOf(call, index, thunk, emit), wantedRows);
  };

  const target = scope.value(loss);
  if (target.dims.length > 0) {
    throw new LimberError("shape.mismatch", `loss "${loss}": a scalar, got ${formatShape(target.dims)}`, {
      value: loss,
    });
  }
  if (active.has(loss)) contributions.set(loss, [emit.scalar(1, target)]);
  for (const node of [...graph.nodes].reverse()) {
    const dOutputs = node.outputs.map((name) => (active.has(name) ? finish(name) : undefined));
    if (dOutputs.every((gradient) => gradient === undefined)) continue;
    checkDifferentiable(node, scope, wrt);
    const call = callOf(node, dOutputs);
    const thunks = thunksOf(call, scope);
    node.inputs.forEach((name, i) => {
      const thunk = thunks[i];
      if (active.has(name) && thunk) append(contributions, name, gradientAt(call, i, thunk));
    });
  }
  // What no node produces, inputs and parameters of the graph, was not finished on the way.
  const produced = new Set(graph.nodes.flatMap((node) => node.outputs));
  for (const name of wanted) if (!produced.has(name)) finish(name);
  return gradients;
}

/** Values through which a change of a wanted value can reach others. Whole numbers, detached values and ops where flow stops end the path. */
function findActive(graph: Graph, wrt: readonly string[], scope: Scope): Set<string> {
  const active = new Set(wrt);
  for (const node of graph.nodes) {
    if (!node.inputs.some((name) => active.has(name))) continue;
    const type = findOpType(node);
    const rule = type && gradientTable[type];
    if (rule === "not-differentiable" || rule === "shape-only") continue;
    for (const name of node.outputs)
      if (name !== "" && scope.carriesGradient(name) && !scope.emit.detached.has(name)) active.add(name);
  }
  return active;
}

/** Throws: `gradient.missing` for a node without a gradient rule, or in a form for which its rule does not hold. */
function checkDifferentiable(node: Node, { graph }: Scope, wrt: readonly string[]): void {
  const obstacle = findGradientObstacle(node);
  if (obstacle === undefined) return;
  const ancestors = ancestorsOf(graph, node.inputs);
  const reached = wrt.find((name) => ancestors.has(name));
  const message = `gradient of "${reached}": differentiable ops up to the loss, got ${node.op} "${node.name}" (${obstacle}); train later values or replace the op`;
  throw new LimberError("gradient.missing", message, { op: node.op, node: node.name, value: reached });
}

/** What the rule of a node says about each of its inputs, by position. */
function thunksOf(call: Call, scope: Scope): (Thunk | null)[] {
  const { node } = call;
  const type = findOpType(node);
  invariant(type, `${node.op} is known`);
  const named: Gradients = applyRule(type, call, scope);
  return catalog[type].inputs.flatMap((spec, i) => {
    const entry = named[spec.replace(/[?*]$/, "")];
    return typeof entry === "function" || !entry ? [node.inputs[i] ? (entry ?? null) : null] : entry;
  });
}

type Gradients = Readonly<Record<string, Thunk | null | readonly (Thunk | null)[]>>;

function applyRule<K extends OpType>(
  type: K,
  { node, inputs, outputs, dOutputs }: Call,
  scope: Scope,
): ReturnType<GradientRule<K>> {
  const rule: GradientRule<K> | NoGradient = gradientTable[type];
  invariant(typeof rule !== "string", `${type} is on a gradient path`);
  return rule({
    emit: scope.emit,
    node,
    attributes: attributesOf(node),
    inputs: nameInputs<K, Val>(type, inputs),
    outputs,
    dOutputs,
    choose: scope.choose,
    get dY() {
      invariant(dOutputs[0], `${type} "${node.name}" has a gradient at its first output`);
      return dOutputs[0];
    },
  });
}

/** Runs a thunk, undoes broadcasting, and holds the rule to the type of its input. */
function gradientOf({ node, inputs }: Call, index: number, thunk: Thunk, emit: Emitter): Val {
  const input = inputs[index]!;
  const raw = thunk();
  const lead = raw.dims.length - input.dims.length;
  const fits = lead >= 0 && input.dims.every((d, i) => d === 1 || d === raw.dims[lead + i]);
  const describe = ({ dtype, dims }: Val): string => `${dtype} ${formatShape(dims)}`;
  invariant(
    fits && raw.dtype === input.dtype,
    `gradient of ${node.op} "${node.name}", input ${index} ("${input.name}"): ${describe(input)} or broadcast from it, got ${describe(raw)}`,
  );
  return emit.unbroadcast(raw, input.dims);
}

/** The values of the graph as the rules see them: with static types, and with what is known to be constant. */
class Scope {
  private readonly types: ReadonlyMap<string, TensorType>;
  private readonly constants: ReadonlyMap<string, Tensor>;
  private readonly values = new Map<string, Val>();

  constructor(
    readonly graph: Graph,
    readonly emit: Emitter,
    readonly choose: Choose | undefined,
  ) {
    const border = [...graph.inputs, ...graph.outputs].map((info) => [info.name, info] as const);
    const computed = graph.nodes.flatMap((node) => {
      const value = node.op === "Constant" ? constantOf(node) : undefined;
      return value ? [[node.outputs[0]!, value] as const] : [];
    });
    this.constants = new Map([...graph.initializers, ...computed]);
    this.types = new Map([...this.constants, ...border, ...graph.types]);
  }

  /** An absent optional value (`""`) is undefined. */
  find(name: string): Val | undefined {
    return name === "" ? undefined : this.value(name);
  }

  value(name: string): Val {
    const cached = this.values.get(name);
    if (cached) return cached;
    const type = this.types.get(name);
    if (!type?.dims?.every((d) => typeof d === "number")) {
      const got = type?.dims ? formatShape(type.dims) : "none";
      throw new LimberError(
        "shape.unknown",
        `value "${name}": a static shape, got ${got}; bind the batch and infer shapes first`,
        {
          value: name,
        },
      );
    }
    const value = this.emit.value(name, type, this.constants.get(name));
    this.values.set(name, value);
    return value;
  }

  /** Floats do; a value of unknown type is taken along, so that its absence is reported where it matters. */
  carriesGradient(name: string): boolean {
    const dtype = this.types.get(name)?.dtype;
    return dtype === undefined || isFloat(dtype) || dtype === "float16" || dtype === "bfloat16";
  }
}

/** The value of a `Constant` node, whichever attribute holds it. */
function constantOf(node: Node): Tensor | undefined {
  const attributes = attributesOf(node);
  const [ints, floats] = [attributes.ints("value_ints"), attributes.floats("value_floats")];
  if (ints) return int64s(ints);
  if (floats) return tensorOf("float32", [floats.length], floats);
  if (attributes.has("value_int")) return scalar("int64", attributes.int("value_int", 0));
  if (attributes.has("value_float")) return scalar("float32", attributes.float("value_float", 0));
  return attributes.tensor("value");
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
