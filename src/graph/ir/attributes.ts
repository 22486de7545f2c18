import { LimberError, type Tensor } from "../../base/index.js";
import type { Attribute, Attributes, Graph, Node } from "./types.js";

/** Shorthand for the common attribute kinds: `attrs.ints([1, 1])`. */
export const attr = {
  int: (value: number): Attribute => ({ kind: "int", value }),
  float: (value: number): Attribute => ({ kind: "float", value }),
  string: (value: string): Attribute => ({ kind: "string", value }),
  ints: (value: readonly number[]): Attribute => ({ kind: "ints", value }),
  floats: (value: readonly number[]): Attribute => ({ kind: "floats", value }),
  strings: (value: readonly string[]): Attribute => ({ kind: "strings", value }),
  tensor: (value: Tensor): Attribute => ({ kind: "tensor", value }),
  graph: (value: Graph): Attribute => ({ kind: "graph", value }),
} as const;

type Kind = Attribute["kind"];
type OfKind<K extends Kind> = Extract<Attribute, { kind: K }>;

/** Reads attributes of one node by kind. A value of another kind is an error that names the node; absence gives the fallback. */
export class AttributeReader {
  constructor(
    private readonly attributes: Attributes,
    private readonly owner: Pick<Node, "op" | "name">,
  ) {}

  has(name: string): boolean {
    return name in this.attributes;
  }

  int(name: string, fallback: number): number {
    return this.find("int", name)?.value ?? fallback;
  }

  float(name: string, fallback: number): number {
    return this.find("float", name)?.value ?? fallback;
  }

  string(name: string, fallback: string): string {
    return this.find("string", name)?.value ?? fallback;
  }

  ints(name: string): readonly number[] | undefined {
    return this.find("ints", name)?.value;
  }

  floats(name: string): readonly number[] | undefined {
    return this.find("floats", name)?.value;
  }

  strings(name: string): readonly string[] | undefined {
    return this.find("strings", name)?.value;
  }

  tensor(name: string): Tensor | undefined {
    return this.find("tensor", name)?.value;
  }

  private find<K extends Kind>(kind: K, name: string): OfKind<K> | undefined {
    const attribute = this.attributes[name];
    if (attribute === undefined) return undefined;
    if (attribute.kind !== kind) {
      const { op, name: node } = this.owner;
      const message = `${op} "${node}": attribute "${name}" of kind ${kind}, got ${attribute.kind}`;
      throw new LimberError("graph.invalid", message, { op, node, attribute: name });
    }
    return attribute as OfKind<K>;
  }
}

export const attributesOf = (node: Node): AttributeReader => new AttributeReader(node.attributes, node);

/** A float32 as the shortest decimal that rounds back to it: the number that the author of the model wrote. */
export function shortestFloat(value: number): number {
  if (!Number.isFinite(value)) return value;
  for (let digits = 1; digits <= 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Object.is(Math.fround(candidate), Math.fround(value))) return candidate;
  }
  return value;
}
