import type { Tensor } from "../../base/index.js";
import type { Model, Node } from "../ir/index.js";
import { scaleValue } from "./scale.js";

const METADATA = "elastic.boosts";

/** A factor for each channel behind a layer, where a gate stood. */
export interface Boost {
  readonly group: string;
  readonly value: string;
  /** The value before. */
  readonly unboosted: string;
  /** The initializer that holds the factors. */
  readonly factors: string;
}

export interface BoostPlace {
  readonly group: string;
  readonly value: string;
  readonly axis: number;
  readonly rank: number;
  readonly factors: Float32Array;
}

const rename = (node: Node, from: string, to: string): Node => ({
  ...node,
  outputs: node.outputs.map((name) => (name === from ? to : name)),
});

/** Puts a multiplication by one factor per channel behind values; metadata names them. */
export function insertBoosts(model: Model, places: readonly BoostPlace[]): Model {
  const { graph } = model;
  const initializers = new Map<string, Tensor>(graph.initializers);
  const byValue = new Map(places.map((place) => [place.value, place]));
  const boosts: Boost[] = [];
  const nodes = graph.nodes.flatMap((node) => {
    const place = byValue.get(node.outputs[0]!);
    if (!place) return [node];
    const { group, value, axis, rank, factors: data } = place;
    const [unboosted, factors] = [`${value}:unboosted`, `${group.replace(/(?:\.weight)?:.*$/, "")}.boost`];
    boosts.push({ group, value, unboosted, factors });
    initializers.set(factors, {
      dtype: "float32",
      dims: [data.length, ...Array<number>(rank - 1 - axis).fill(1)],
      data,
    });
    const inputs = [unboosted, factors];
    const product = { op: "Mul", domain: "", name: `${value}/boost`, inputs, outputs: [value], attributes: {} };
    return [rename(node, value, unboosted), product];
  });
  const metadata = new Map([...model.metadata, [METADATA, JSON.stringify(boosts)]]);
  return { ...model, metadata, graph: { ...graph, nodes, initializers } };
}

/** The boosts of a model by what its metadata says. */
export const boostsOf = ({ metadata }: Model): readonly Boost[] =>
  JSON.parse(metadata.get(METADATA) ?? "[]") as readonly Boost[];

/** The model to serve: boosts multiplied into the layers before them, exactly up to rounding; nothing is left of them. */
export function foldBoosts(model: Model): Model {
  const boosts = boostsOf(model);
  let { graph } = model;
  for (const { unboosted, factors } of boosts)
    graph = scaleValue(graph, unboosted, Array.from(graph.initializers.get(factors)!.data as Float32Array));
  const products = new Set(boosts.map(({ value }) => value));
  const restored = new Map(boosts.map(({ unboosted, value }) => [unboosted, value]));
  const nodes = graph.nodes.flatMap((node) =>
    products.has(node.outputs[0]!)
      ? []
      : [{ ...node, outputs: node.outputs.map((name) => restored.get(name) ?? name) }],
  );
  const gone = new Set(boosts.map(({ factors }) => factors));
  const initializers = new Map([...graph.initializers].filter(([name]) => !gone.has(name)));
  const metadata = new Map([...model.metadata].filter(([key]) => key !== METADATA));
  return { ...model, metadata, graph: { ...graph, nodes, initializers } };
}

/**
 * Undoes `foldBoosts`: divides the layers by the boosts of `like` and puts these back. A boost of 0 leaves nothing to restore:
 * the weights of its channel stay 0.
 */
export function unfoldBoosts(folded: Model, like: Model): Model {
  let { graph } = folded;
  const places = boostsOf(like).map(({ group, value, factors }): BoostPlace => {
    const { dims, data } = like.graph.initializers.get(factors)!;
    const numbers = data as Float32Array;
    graph = scaleValue(
      graph,
      value,
      Array.from(numbers, (factor) => (factor === 0 ? 1 : 1 / factor)),
    );
    return { group, value, axis: 0, rank: dims.length, factors: numbers };
  });
  return insertBoosts({ ...folded, graph }, places);
}
