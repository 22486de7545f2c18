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

export interface BackwardOptions {
  /** Name of a scalar value of the graph. */
  readonly loss: string;
  /** Names of the values to differentiate by; inner values are allowed. */
  readonly wrt: readonly string[];
  /** Writes the gradient nodes; it must know the names of the graph as taken. */
  readonly emit: Emitter;
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
export function backward(graph: Graph, { loss, wrt, emit }: BackwardOptions): Map<string, Val> {
  const scope = new Scope(graph, emit);
  const active = findActive(graph, wrt, scope);
  const contributions = new Map<string, Val[]>();
  const gradients = new Map<string, Val>();
  const wanted = new Set(wrt);
  /** The finished gradient of a value: all its readers stand behind it and have been visited. */
  const finish = (name: string): Val | undefined => {
    const parts = contributions.get(name);
    if (!parts) return undefined;
    const total = parts.length <= 2 ? parts.reduce((a, b) => emit.add(a, b)) : emit.node("Sum", parts)[0];
    if (wanted.has(name)) gradients.set(name, total);
    return total;
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
    const thunks = thunksOf(node, dOutputs, scope, wrt);
    node.inputs.forEach((name, i) => {
      if (!active.has(name)) return;
      const thunk = thunks[i];
      if (thunk) append(contributions, name, gradientOf(node, i, thunk, scope));
    });
  }
  // What no node produces, inputs and parameters of the graph, was not finished on the way.
  const produced = new Set(graph.nodes.flatMap((node) => node.outputs));
  for (const name of wanted) if (!produced.has(name)) finish(name);
  return gradients;
}

/** Values through which a change of a wanted value can reach others. Whole numbers and ops where flow stops end the path. */
function findActive(graph: Graph, wrt: readonly string[], scope: Scope): Set<string> {
  const active = new Set(wrt);
  for (const node of graph.nodes) {
    if (!node.inputs.some((name) => active.has(name))) continue;
    const type = findOpType(node);
    const rule = type && gradientTable[type];
    if (rule === "not-differentiable" || rule === "shape-only") continue;
    for (const name of node.outputs) if (name !== "" && scope.carriesGradient(name)) active.add(name);
  }
  return active;
}

/** What the rule of a node says about each of its inputs, by position. */
function thunksOf(
  node: Node,
  dOutputs: readonly (Val | undefined)[],
  scope: Scope,
  wrt: readonly string[],
): (Thunk | null)[] {
  const type = findOpType(node);
  const obstacle = findGradientObstacle(node);
  if (!type || obstacle) {
    const ancestors = ancestorsOf(scope.graph, node.inputs);
    const reached = wrt.find((name) => ancestors.has(name));
    const message = `gradient of "${reached}": differentiable ops up to the loss, got ${node.op} "${node.name}" (${obstacle}); train later values or replace the op`;
    throw new LimberError("gradient.missing", message, { op: node.op, node: node.name, value: reached });
  }
  const named: Gradients = applyRule(type, node, dOutputs, scope);
  return catalog[type].inputs.flatMap((spec, i) => {
    const entry = named[spec.replace(/[?*]$/, "")];
    return typeof entry === "function" || !entry ? [node.inputs[i] ? (entry ?? null) : null] : entry;
  });
}

type Gradients = Readonly<Record<string, Thunk | null | readonly (Thunk | null)[]>>;

function applyRule<K extends OpType>(
  type: K,
  node: Node,
  dOutputs: readonly (Val | undefined)[],
  scope: Scope,
): ReturnType<GradientRule<K>> {
  const rule: GradientRule<K> | NoGradient = gradientTable[type];
  invariant(typeof rule !== "string", `${type} is on a gradient path`);
  const values = (names: readonly string[]): (Val | undefined)[] => names.map((name) => scope.find(name));
  return rule({
    emit: scope.emit,
    node,
    attributes: attributesOf(node),
    inputs: nameInputs<K, Val>(type, values(node.inputs)),
    outputs: values(node.outputs),
    dOutputs,
    get dY() {
      invariant(dOutputs[0], `${type} "${node.name}" has a gradient at its first output`);
      return dOutputs[0];
    },
  });
}

/** Runs a thunk, undoes broadcasting, and holds the rule to the type of its input. */
function gradientOf(node: Node, index: number, thunk: Thunk, scope: Scope): Val {
  const input = scope.value(node.inputs[index]!);
  const raw = thunk();
  const lead = raw.dims.length - input.dims.length;
  const fits = lead >= 0 && input.dims.every((d, i) => d === 1 || d === raw.dims[lead + i]);
  const describe = ({ dtype, dims }: Val): string => `${dtype} ${formatShape(dims)}`;
  invariant(
    fits && raw.dtype === input.dtype,
    `gradient of ${node.op} "${node.name}", input ${index} ("${input.name}"): ${describe(input)} or broadcast from it, got ${describe(raw)}`,
  );
  return scope.emit.unbroadcast(raw, input.dims);
}

/** The values of the graph as the rules see them: with static types, and with what is known to be constant. */
class Scope {
  private readonly types: ReadonlyMap<string, TensorType>;
  private readonly constants: ReadonlyMap<string, Tensor>;
  private readonly values = new Map<string, Val>();

  constructor(
    readonly graph: Graph,
    readonly emit: Emitter,
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
