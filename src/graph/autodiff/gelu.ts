import { type Tensor, toNumbers } from "../../base/index.js";
import { attributesOf, type Graph, type Node } from "../ir/index.js";

/**
 * Reads x · ½(1 + erf(x/√2)) as one Gelu wherever exporters spell it out, so that gradients come from its rule.
 *
 * For differentiation, never to run. The rule reads x alone: what is in between need not be kept until the way back, and the
 * runtime is free to fuse it. Nodes that stood in between stay, without a reader.
 */
export function readGelu(graph: Graph): Graph {
  if (!graph.nodes.some(({ op }) => op === "Erf")) return graph;
  const scope = new Scope(graph);
  const nodes = graph.nodes.map((node): Node => {
    const x = scope.findArgument(node);
    return x === undefined ? node : { ...node, op: "Gelu", inputs: [x], attributes: {} };
  });
  return { ...graph, nodes };
}

/** Products of a Gelu stand in each other at most this deep: Mul(Mul(x, 1 + erf), ½). */
const DEPTH = 2;
const isNear = (value: number | undefined, expected: number): boolean =>
  value !== undefined && Math.abs(value - expected) < 1e-4;

class Scope {
  private readonly producers: ReadonlyMap<string, Node>;

  constructor(private readonly graph: Graph) {
    this.producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  }

  /** The x of which a node gives the Gelu. */
  findArgument(node: Node): string | undefined {
    if (node.op !== "Mul" || node.domain !== "") return undefined;
    const x = this.factors(node, DEPTH).flatMap((name) => this.errorArgument(name) ?? [])[0];
    if (x === undefined) return undefined;
    const factors = this.factors(node, DEPTH, x);
    const others = factors.filter((name) => name !== x && this.errorArgument(name) !== x);
    const isHalf = isNear(
      others.reduce((product, name) => product * (this.number(name) ?? NaN), 1),
      0.5,
    );
    return isHalf && factors.length === others.length + 2 && factors.includes(x) ? x : undefined;
  }

  /** What is multiplied with each other; `leaf` is not looked into. */
  private factors({ inputs }: Node, depth: number, leaf?: string): string[] {
    return inputs.flatMap((name) => {
      const node = this.producers.get(name);
      return depth > 0 && name !== leaf && node?.op === "Mul" ? this.factors(node, depth - 1, leaf) : [name];
    });
  }

  /** The x of 1 + erf(x/√2). */
  private errorArgument(name: string): string | undefined {
    const sum = this.producers.get(name);
    if (sum?.op !== "Add") return undefined;
    const [a, b] = sum.inputs as [string, string];
    const erf = this.producers.get(isNear(this.number(b), 1) ? a : isNear(this.number(a), 1) ? b : "");
    const scaled = erf?.op === "Erf" ? this.producers.get(erf.inputs[0]!) : undefined;
    const [x, scale] = (scaled?.inputs ?? []) as [string?, string?];
    if (scaled?.op === "Div") return isNear(this.number(scale!), Math.SQRT2) ? x : undefined;
    if (scaled?.op !== "Mul") return undefined;
    return isNear(this.number(scale!), Math.SQRT1_2) ? x : isNear(this.number(x!), Math.SQRT1_2) ? scale : undefined;
  }

  /** The value of a constant of one element. */
  private number(name: string): number | undefined {
    const tensor = this.graph.initializers.get(name) ?? this.constant(name);
    return tensor?.data.length === 1 ? toNumbers(tensor)[0] : undefined;
  }

  private constant(name: string): Tensor | undefined {
    const node = this.producers.get(name);
    if (node?.op !== "Constant") return undefined;
    const attributes = attributesOf(node);
    if (!attributes.has("value_float")) return attributes.tensor("value");
    return { dtype: "float32", dims: [], data: Float32Array.of(attributes.float("value_float", 0)) };
  }
}
