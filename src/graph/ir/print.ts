import type { Tensor } from "../../base/index.js";
import { valueText, wordText } from "./lexer.js";
import { base64Text, dataText, floatText, typeText } from "./literal.js";
import type { Attribute, Graph, Model, Node, TensorType, ValueInfo } from "./types.js";

export interface PrintOptions {
  /** `elided` writes `…` for large tensors: good to read, refused by `parseModel`. Default "full". */
  readonly weights?: "full" | "elided";
}

/**
 * Writes a model as text to read, compare and paste into tests: one line for each input, weight, node and output.
 *
 * ```
 * ir_version 8
 * opset "" 17
 * producer "limber" ""
 *
 * graph "net" {
 *   input %x: float32[batch,3,32,32]
 *   const %scale: float32[2] = [1, 0.5]
 *   %y: float32[batch,8,32,32] = Conv(%x, %conv.weight, _) {group = 1, strides = [1, 1]} "conv"
 *   output %y: float32[batch,8,32,32]
 * }
 * ```
 *
 * `_` is an absent value, `?` an unknown size, `[*]` an unknown rank. Names that are not plain words stand in JSON quotes.
 * Attributes show their kind by their form: `1` int, `1.0` float, `"a"` string, and lists of these.
 */
export function printModel(model: Model, options: PrintOptions = {}): string {
  const header = [
    `ir_version ${model.irVersion}`,
    ...[...model.opsets].map(([domain, version]) => `opset ${wordText(domain)} ${version}`),
    `producer ${JSON.stringify(model.producerName)} ${JSON.stringify(model.producerVersion)}`,
    ...optional("domain", model.domain, JSON.stringify),
    ...optional("model_version", model.modelVersion, String),
    ...optional("doc", model.docString, JSON.stringify),
    ...[...model.metadata].map(([key, value]) => `metadata ${wordText(key)} ${JSON.stringify(value)}`),
    ...optional("opaque", model.opaque, base64Text),
  ];
  const graph = new Printer(options.weights ?? "full").graph(model.graph, "");
  return `${header.join("\n")}\n\n${graph}\n`;
}

/** `keyword value`, or nothing when there is no value. */
const optional = <T>(keyword: string, value: T | undefined, write: (value: T) => string): string[] =>
  value === undefined ? [] : [`${keyword} ${write(value)}`];

const mapText = (entries: readonly string[]): string => `{${entries.join(", ")}}`;
const typedText = (name: string, type: TensorType | undefined): string =>
  `${valueText(name)}${type ? `: ${typeText(type)}` : ""}`;
const borderText = (value: ValueInfo): string =>
  [typedText(value.name, value), ...optional("doc", value.docString, JSON.stringify)].join(" ");

class Printer {
  constructor(private readonly weights: "full" | "elided") {}

  graph(graph: Graph, indent: string): string {
    const inner = `${indent}  `;
    const results = new Set(graph.nodes.flatMap((node) => node.outputs));
    const lines = [
      ...graph.inputs.map((value) => `input ${borderText(value)}`),
      ...[...graph.initializers].map(([name, tensor]) => `const ${valueText(name)}: ${this.tensor(tensor, " = ")}`),
      ...[...graph.types].filter(([name]) => !results.has(name)).map(([name, type]) => `type ${typedText(name, type)}`),
      ...graph.nodes.map((node) => this.node(node, graph.types, inner)),
      ...graph.outputs.map((value) => `output ${borderText(value)}`),
    ];
    const head = [
      `graph ${JSON.stringify(graph.name)}`,
      ...optional("doc", graph.docString, JSON.stringify),
      ...optional("opaque", graph.opaque, base64Text),
    ];
    return `${head.join(" ")} {\n${lines.map((line) => `${inner}${line}\n`).join("")}${indent}}`;
  }

  private node(node: Node, types: Graph["types"], indent: string): string {
    const results = node.outputs.map((name) => (name === "" ? "_" : typedText(name, types.get(name))));
    const domain = node.domain === "" ? "" : `${wordText(node.domain)}::`;
    const inputs = node.inputs.map((name) => (name === "" ? "_" : valueText(name)));
    const attributes = Object.entries(node.attributes).map(
      ([name, attribute]) => `${wordText(name)}${this.attribute(attribute, indent)}`,
    );
    const metadata = (entries: Readonly<Record<string, string>>): string =>
      mapText(Object.entries(entries).map(([key, value]) => `${wordText(key)} = ${JSON.stringify(value)}`));
    return [
      results.length === 0 ? "()" : results.join(", "),
      "=",
      `${domain}${wordText(node.op)}(${inputs.join(", ")})`,
      ...(attributes.length === 0 ? [] : [mapText(attributes)]),
      ...(node.name === "" ? [] : [JSON.stringify(node.name)]),
      ...optional("doc", node.docString, JSON.stringify),
      ...optional("metadata", node.metadata, metadata),
      ...optional("opaque", node.opaque, base64Text),
    ].join(" ");
  }

  /** ` = value`; an empty list cannot show its kind, so it is written before: `: ints = []`. */
  private attribute(attribute: Attribute, indent: string): string {
    const list = (values: readonly string[]): string =>
      values.length === 0 ? `: ${attribute.kind} = []` : ` = [${values.join(", ")}]`;
    switch (attribute.kind) {
      case "int":
        return ` = ${BigInt(attribute.value)}`;
      case "float":
        return ` = ${floatText(attribute.value)}`;
      case "string":
        return ` = ${JSON.stringify(attribute.value)}`;
      case "ints":
        return list(attribute.value.map((value) => String(BigInt(value))));
      case "floats":
        return list(attribute.value.map(floatText));
      case "strings":
        return list(attribute.value.map((value) => JSON.stringify(value)));
      case "tensor":
        return ` = ${this.tensor(attribute.value, " ")}`;
      case "graph":
        return ` = ${this.graph(attribute.value, indent)}`;
      case "opaque":
        return ` = opaque ${base64Text(attribute.value)}`;
      default:
        return attribute satisfies never;
    }
  }

  private tensor(tensor: Tensor, separator: string): string {
    return `${typeText(tensor)}${separator}${dataText(tensor, this.weights)}`;
  }
}
