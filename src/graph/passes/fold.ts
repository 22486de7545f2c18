import { isFloat, sizeOf, type Tensor } from "../../base/index.js";
import { consumersOf, type Graph, type Model, type Node } from "../ir/index.js";
import { fromReference, type ReferenceTensor } from "../ops/index.js";
import { isParameterInput } from "./parameters.js";
import { isSetting, type IsWorth, Knowledge, opsetOf } from "./knowledge.js";
import { sweepDead } from "./sweep.js";

/**
 * Replaces nodes whose outputs follow from constants by initializers, and sweeps what is then unused.
 * The model does not grow: a result is kept when it is small, or no larger than the constants that vanish with its node.
 * A number that is written into a Constant as attribute stays there, in full precision.
 * A Reshape whose sizes follow but for one, such as that of an open batch, gets a -1 for it.
 * Initializers named in `variables` are about to change, so nothing follows from them.
 */
export function foldConstants(model: Model, variables: readonly string[] = []): Model {
  const { graph } = model;
  const changing = variables.flatMap((name) => {
    const value = graph.initializers.get(name);
    return value ? [{ name, dtype: value.dtype, dims: value.dims }] : [];
  });
  const knowledge = new Knowledge({ ...graph, inputs: [...graph.inputs, ...changing] }, opsetOf(model));
  const isWorth = shrinks(graph, knowledge);
  for (const node of graph.nodes) knowledge.visit(node, isWorth);
  const outputs = new Set(graph.outputs.map((output) => output.name));
  const folded = new Map<Node, readonly (readonly [string, Tensor])[]>();
  for (const node of graph.nodes) {
    const names = node.outputs.filter((name) => name !== "");
    const stays =
      names.some((name) => outputs.has(name)) || (node.op === "Constant" && node.attributes.value?.kind !== "tensor");
    const values = stays ? [] : names.flatMap((name) => keep(name, knowledge.constantOf(name)));
    if (values.length > 0 && values.length === names.length) folded.set(node, values);
  }
  const initializers = new Map([...graph.initializers, ...[...folded.values()].flat()]);
  const nodes = graph.nodes.flatMap((node) => {
    if (folded.has(node)) return [];
    const target = knowledge.settledTarget(node);
    if (!target) return [node];
    const name = `${node.inputs[1]!}:settled`;
    initializers.set(name, target);
    return [{ ...node, inputs: node.inputs.with(1, name) }];
  });
  return sweepDead({ ...model, graph: { ...graph, nodes, initializers } });
}

/** The largest weight that is written out from a ConstantOfShape. */
const FILLED_ELEMENTS = 2 ** 26;

/**
 * Small results, and those that only take the place of constants which nobody else reads. Of weights:
 * - another name for one is the same data, and a parameter of its own: exporters merge equal weights by `Identity`;
 * - one that a node fills with a number is written out, so that it can be trained;
 * - one that is repeated or read in several places stays one weight.
 */
function shrinks(graph: Graph, knowledge: Knowledge): IsWorth {
  const consumers = consumersOf(graph);
  const sizeOfConstant = (name: string): number => sizeOf(knowledge.constantOf(name)?.dims ?? [0]);
  const filled = new Set(graph.nodes.flatMap((node) => node.inputs.filter((_, i) => isParameterInput(node, i))));
  return (node, elements) => {
    if (node.op === "Identity") return true;
    if (node.op === "ConstantOfShape" && filled.has(node.outputs[0]!)) return elements <= FILLED_ELEMENTS;
    if (isSetting(node, elements)) return !node.inputs.some((name) => isWeight(knowledge.constantOf(name), elements));
    const replaced = node.inputs.filter((name) => consumers.get(name)?.length === 1);
    return elements <= replaced.reduce((sum, name) => sum + sizeOfConstant(name), 0);
  };
}

/** A float vector or larger, of which fewer elements go in than come out. */
const isWeight = (value: Tensor | undefined, elements: number): boolean =>
  value !== undefined &&
  isFloat(value.dtype) &&
  value.dims.length > 0 &&
  value.data.length < elements &&
  value.data.length > 1;

/** A computed value as a tensor of its element type; nothing when doubles cannot hold it exactly. */
function keep(name: string, value: Tensor | undefined): (readonly [string, Tensor])[] {
  if (!value) return [];
  const computed = value.data instanceof Float64Array && value.dtype !== "float64";
  if (!computed) return [[name, value]];
  const { dtype, dims, data } = value as ReferenceTensor;
  const exact =
    !dtype.endsWith("int64") || data.every((x) => Math.abs(x) <= Number.MAX_SAFE_INTEGER || Math.abs(x) >= 2 ** 63);
  return exact ? [[name, fromReference({ dtype, dims, data })]] : [];
}
