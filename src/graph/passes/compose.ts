import { attributesOf, type AttributeReader, type Model, type Node } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";
import { opsetOf } from "./knowledge.js";

/** Writes the same function in simpler ops: the values of the outputs, in order; undefined for a form that it leaves alone. */
type Rule = (emit: Emitter, inputs: readonly Val[], attributes: AttributeReader) => readonly Val[] | undefined;

const RULES = {
  /** The training form; the other one is simple already. */
  BatchNormalization(emit, [x, scale, bias, oldMean, oldVariance], attributes) {
    if (attributes.int("training_mode", 0) === 0) return undefined;
    const axes = x!.dims.flatMap((_, i) => (i === 1 ? [] : [i]));
    const mean = emit.reduceMean(x!, axes);
    const centred = emit.sub(x!, emit.perChannel(mean, x!.dims.length));
    const variance = emit.reduceMean(emit.mul(centred, centred), axes);
    const deviation = emit.sqrt(emit.add(variance, attributes.float("epsilon", 1e-5)));
    const factor = emit.perChannel(emit.div(scale!, deviation), x!.dims.length);
    const y = emit.add(emit.mul(centred, factor), emit.perChannel(bias!, x!.dims.length));
    const momentum = attributes.float("momentum", 0.9);
    const running = (old: Val, now: Val): Val =>
      momentum === 0 ? now : emit.add(emit.mul(old, momentum), emit.mul(now, 1 - momentum));
    return [y, running(oldMean!, mean), running(oldVariance!, variance)];
  },

  FusedMatMul(emit, [a, b], attributes) {
    if (attributes.int("transBatchA", 0) === 1 || attributes.int("transBatchB", 0) === 1) return undefined;
    const turned = (matrix: Val, isTurned: number): Val => {
      const rank = matrix.dims.length;
      const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
      return isTurned ? emit.transpose(matrix, perm) : matrix;
    };
    const product = emit.matMul(turned(a!, attributes.int("transA", 0)), turned(b!, attributes.int("transB", 0)));
    return [emit.mul(product, attributes.float("alpha", 1))];
  },

  LogSoftmax(emit, [x], attributes) {
    const axis = attributes.int("axis", -1);
    const axes = [axis < 0 ? axis + x!.dims.length : axis];
    const shifted = emit.sub(x!, emit.reduceMax(x!, axes, true));
    return [emit.sub(shifted, emit.log(emit.reduceSum(emit.exp(shifted), axes, true)))];
  },

  Sum: (emit, inputs) => [inputs.reduce((sum, input) => emit.add(sum, input))],
} as const satisfies Readonly<Record<string, Rule>>;

/** Ops that `composeOps` can write in simpler ones. */
export type ComposedOp = keyof typeof RULES;

/** Writes the given ops in simpler ones wherever shapes are static, for a provider that lacks them; all values keep their names. */
export function composeOps(model: Model, ops: readonly ComposedOp[]): Model {
  const { graph } = model;
  const types = new Map([...graph.inputs.map((v) => [v.name, v] as const), ...graph.initializers, ...graph.types]);
  const emit = new Emitter(opsetOf(model), [...types.keys(), ...graph.nodes.map(({ name }) => name)], "composed/");
  const nodes = graph.nodes.flatMap((node) => {
    const inputs = node.inputs.map((name) => {
      const type = types.get(name);
      return type?.dims?.every((d) => typeof d === "number") ? emit.value(name, type) : undefined;
    });
    const op = ops.find((name) => name === node.op);
    if (op === undefined || !inputs.every((input) => input !== undefined)) return [node];
    const results = (RULES[op] as Rule)(emit, inputs, attributesOf(node));
    if (!results) return [node];
    const values = results.map((value) => (inputs.includes(value) ? emit.node("Identity", [value])[0] : value));
    const names = node.outputs.flatMap((output, i) => (output === "" ? [] : [[values[i]!.name, output] as const]));
    return renameAll(emit.drain(), new Map(names));
  });
  const named = new Map([...graph.types, ...emit.types]);
  return { ...model, graph: { ...graph, nodes, types: named } };
}

function renameAll(nodes: readonly Node[], names: ReadonlyMap<string, string>): Node[] {
  const rename = (name: string): string => names.get(name) ?? name;
  return nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) }));
}
