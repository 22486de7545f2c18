import { formatShape, LimberError, type Tensor, throwIfAborted } from "../../base/index.js";
import { attributesOf, type Graph, type Model, type Node, readsOf, STANDARD_DOMAIN } from "../ir/index.js";
import { findOpType, kernelTable, type ReferenceTensor, toReference } from "../ops/index.js";

/** Values by name: tensors of the element type, or doubles that the caller has not rounded. */
export type Feeds = ReadonlyMap<string, Tensor | ReferenceTensor> | Readonly<Record<string, Tensor | ReferenceTensor>>;

export interface EvaluateOptions {
  /** Names of the values to return, inner ones included; the outputs of the graph when absent. */
  readonly outputs?: readonly string[];
  /** Version of the standard domain for a bare graph; a model brings its own. */
  readonly opset?: number;
  readonly signal?: { readonly aborted: boolean; readonly reason?: unknown } | undefined;
}

const NEWEST_OPSET = 21;

/**
 * Runs a graph in float64, node by node: slow, obvious, the oracle of everything else.
 * An initializer may be fed over. Only nodes that the wanted values need are run; a value is dropped after its last use.
 * Throws: `op.unsupported` naming the node, `graph.invalid` for a value that nobody defines, `shape.mismatch`.
 */
export function evaluate(
  source: Graph | Model,
  feeds: Feeds,
  options: EvaluateOptions = {},
): Map<string, ReferenceTensor> {
  const [graph, opset] = "graph" in source ? [source.graph, opsetOf(source)] : [source, options.opset ?? NEWEST_OPSET];
  const wanted = new Set(options.outputs ?? graph.outputs.map((output) => output.name));
  const values = new Map<string, ReferenceTensor>();
  for (const [name, value] of feedEntries(feeds)) values.set(name, asReference(value));
  const nodes = neededNodes(graph, wanted, values);
  const uses = countUses(nodes, wanted);
  const find = (name: string, reader: string): ReferenceTensor => {
    const initializer = values.has(name) ? undefined : graph.initializers.get(name);
    if (initializer) values.set(name, toReference(initializer));
    const value = values.get(name);
    if (value) return value;
    throw new LimberError("graph.invalid", `${reader}: a value for "${name}", got none; feed it`, { value: name });
  };
  for (const node of nodes) {
    throwIfAborted(options.signal);
    const inputs = node.inputs.map((name) => (name === "" ? undefined : find(name, `${node.op} "${node.name}"`)));
    evaluateNode(node, inputs, opset).forEach((output, i) => {
      const name = node.outputs[i];
      if (!name || !uses.has(name)) return;
      checkDeclared(graph, node, name, output);
      values.set(name, output);
    });
    for (const name of readsOf(node)) {
      const left = uses.get(name)! - 1;
      uses.set(name, left);
      if (left === 0) values.delete(name);
    }
  }
  return new Map([...wanted].map((name) => [name, find(name, "evaluate")]));
}

/** Runs one node; inputs in the order of the node, undefined where an optional one is absent. */
export function evaluateNode(
  node: Node,
  inputs: readonly (ReferenceTensor | undefined)[],
  opset = NEWEST_OPSET,
): readonly ReferenceTensor[] {
  const context = { op: node.op, node: node.name };
  const type = findOpType(node);
  const kernel = type ? kernelTable[type] : "unsupported";
  if (kernel === "unsupported") {
    const domain = node.domain === STANDARD_DOMAIN ? "" : `${node.domain}.`;
    const message = `${node.op} "${node.name}": an operator and attributes of the catalog, got ${domain}${node.op} with [${Object.keys(node.attributes).join(", ")}]`;
    throw new LimberError("op.unsupported", message, context);
  }
  try {
    return kernel({ node, attributes: attributesOf(node), opset, inputs });
  } catch (error) {
    if (!(error instanceof LimberError)) throw error;
    const message = `${node.op} "${node.name}": ${error.message}`;
    throw new LimberError(error.code, message, { ...error.context, ...context }, { cause: error });
  }
}

const opsetOf = (model: Model): number => model.opsets.get(STANDARD_DOMAIN) ?? NEWEST_OPSET;

function feedEntries(feeds: Feeds): Iterable<readonly [string, Tensor | ReferenceTensor]> {
  return feeds instanceof Map ? feeds : Object.entries(feeds);
}

/** A float64 tensor is its own reference, and so are doubles of any element type. */
const asReference = (value: Tensor | ReferenceTensor): ReferenceTensor =>
  value.data instanceof Float64Array ? (value as ReferenceTensor) : toReference(value);

/** The nodes that the wanted values depend on, in graph order; a value that is fed needs nothing. */
function neededNodes(graph: Graph, wanted: ReadonlySet<string>, fed: ReadonlyMap<string, unknown>): Node[] {
  const open = new Set(wanted);
  const nodes: Node[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]!;
    if (!node.outputs.some((name) => open.has(name) && !fed.has(name))) continue;
    nodes.push(node);
    for (const name of readsOf(node)) open.add(name);
  }
  return nodes.reverse();
}

/** How often each value is read; wanted values once more, so that they stay. */
function countUses(nodes: readonly Node[], wanted: ReadonlySet<string>): Map<string, number> {
  const uses = new Map([...wanted].map((name) => [name, 1]));
  for (const node of nodes) for (const name of readsOf(node)) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}

/** What shape inference promised has to come true: named axes may be anything. */
function checkDeclared(graph: Graph, node: Node, name: string, value: ReferenceTensor): void {
  const declared = (graph.types.get(name) ?? graph.outputs.find((output) => output.name === name))?.dims;
  if (!declared) return;
  const fits =
    declared.length === value.dims.length && declared.every((d, i) => typeof d === "string" || d === value.dims[i]);
  if (fits) return;
  const message = `${node.op} "${node.name}": ${formatShape(declared)} for "${name}" as inferred, got ${formatShape(value.dims)}`;
  throw new LimberError("shape.mismatch", message, { op: node.op, node: node.name, value: name });
}
