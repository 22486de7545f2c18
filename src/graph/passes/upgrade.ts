import { LimberError } from "../../base/index.js";
import {
  type Attribute,
  type Attributes,
  type Graph,
  type Model,
  type Node,
  readsOf,
  STANDARD_DOMAIN,
} from "../ir/index.js";
import { Knowledge } from "./knowledge.js";
import { upgradeRules, type Upgrading } from "./upgrade-rules.js";

export const OLDEST_OPSET = 9;
export const NEWEST_OPSET = 23;
/** What older models are brought to; newer ones are kept as they are. */
const TARGET_OPSET = 17;
/** The IR version that came with the target. */
const TARGET_IR = 8;

/**
 * Rewrites opsets 9 to 16 to the meaning of opset 17: attributes that became inputs, changed defaults, renamed ops.
 * Weights that are listed as inputs become plain initializers, whatever the opset.
 * Throws: `op.unsupported` for other versions, and for the few old forms that have no new one.
 * Source: https://github.com/onnx/onnx/blob/main/docs/Changelog.md.
 */
export function upgradeOpset(model: Model): Model {
  const opset = model.opsets.get(STANDARD_DOMAIN);
  if (opset === undefined || opset < OLDEST_OPSET || opset > NEWEST_OPSET) {
    const message = `model: opset ${OLDEST_OPSET} to ${NEWEST_OPSET}, got ${opset ?? "none"}; export it again with opset ${TARGET_OPSET}`;
    throw new LimberError("op.unsupported", message, { opset });
  }
  const graph = withoutListedWeights(model.graph);
  if (opset >= TARGET_OPSET) return { ...model, graph };
  return {
    ...model,
    graph: new Upgrader(opset, graph).upgrade(graph),
    opsets: new Map([...model.opsets, [STANDARD_DOMAIN, TARGET_OPSET]]),
    irVersion: Math.max(model.irVersion, TARGET_IR),
  };
}

/** Before IR 4 every initializer had to be an input as well, and exporters kept the habit; nobody feeds them. */
const withoutListedWeights = (graph: Graph): Graph => ({
  ...graph,
  inputs: graph.inputs.filter(({ name }) => !graph.initializers.has(name)),
});

class Upgrader {
  private readonly taken = new Set<string>();

  constructor(
    private readonly opset: number,
    graph: Graph,
  ) {
    this.take(graph);
  }

  /** Rules look at types and constants, so nodes are rewritten in order, each on top of what its inputs became. */
  upgrade(graph: Graph, outer?: Knowledge): Graph {
    const knowledge = new Knowledge(graph, TARGET_OPSET, outer);
    const initializers = new Map(graph.initializers);
    const read = new Set([...graph.nodes.flatMap(readsOf), ...graph.outputs.map((output) => output.name)]);
    const upgrading: Upgrading = {
      knowledge,
      isRead: (name) => read.has(name),
      freshName: (base) => this.freshName(base),
      constant: (base, value) => {
        const name = this.freshName(base);
        initializers.set(name, value);
        knowledge.define(name, value);
        return name;
      },
    };
    const nodes: Node[] = [];
    for (const node of graph.nodes) {
      for (const upgraded of this.rewrite(
        { ...node, attributes: this.upgradeNested(node.attributes, knowledge) },
        upgrading,
      )) {
        nodes.push(upgraded);
        knowledge.visit(upgraded);
      }
    }
    return { ...graph, nodes, initializers };
  }

  private upgradeNested(attributes: Attributes, knowledge: Knowledge): Attributes {
    const upgrade = (a: Attribute): Attribute =>
      a.kind === "graph" ? { ...a, value: this.upgrade(a.value, knowledge) } : a;
    return Object.fromEntries(Object.entries(attributes).map(([name, attribute]) => [name, upgrade(attribute)]));
  }

  private rewrite(node: Node, upgrading: Upgrading): readonly Node[] {
    const known = node.domain === STANDARD_DOMAIN && Object.hasOwn(upgradeRules, node.op);
    const rule = known ? upgradeRules[node.op] : undefined;
    return rule && this.opset < rule.since ? rule.rewrite(node, upgrading) : [node];
  }

  private take(graph: Graph): void {
    for (const name of [...graph.inputs.map((v) => v.name), ...graph.initializers.keys()]) this.taken.add(name);
    for (const node of graph.nodes) {
      for (const name of [node.name, ...node.outputs]) this.taken.add(name);
      for (const attribute of Object.values(node.attributes))
        if (attribute.kind === "graph") this.take(attribute.value);
    }
  }

  private freshName(base: string): string {
    let name = base;
    for (let count = 1; this.taken.has(name); count++) name = `${base}_${count}`;
    this.taken.add(name);
    return name;
  }
}
