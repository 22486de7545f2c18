import { Lexer, type Token } from "./lexer.js";
import {
  isDType,
  isFloatText,
  isNumber,
  numberOf,
  parseBase64,
  parseInteger,
  parseList,
  parseTensor,
  parseType,
  takeNumber,
} from "./literal.js";
import type { Attribute, Graph, Model, Node, TensorType, ValueInfo } from "./types.js";

/** Graphs inside of graphs, well below what the call stack holds. */
const MOST_NESTING = 64;
const LIST_KINDS = ["ints", "floats", "strings"] as const;

/**
 * Reads the text that `printModel` writes; `#` starts a comment. The graph is not checked: see `checkGraph`.
 *
 * Throws: `graph.invalid` with line and column, what was expected and what was found.
 */
export function parseModel(text: string): Model {
  const parser = new Parser(new Lexer(text));
  return parser.model();
}

/** A map that takes each key once. */
class Unique<T> extends Map<string, T> {
  constructor(
    private readonly what: string,
    private readonly lexer: Lexer,
  ) {
    super();
  }

  add(token: Token, value: T): void {
    if (this.has(token.text)) throw this.lexer.error(`each ${this.what} once`, token);
    this.set(token.text, value);
  }

  toMap(): Map<string, T> {
    return new Map(this);
  }
}

class Parser {
  private depth = 0;

  constructor(private readonly lexer: Lexer) {}

  model(): Model {
    const { lexer } = this;
    const opsets = new Unique<number>("opset domain", lexer);
    const metadata = new Unique<string>("metadata key", lexer);
    const header: { -readonly [K in keyof Model]?: Model[K] } = {};
    const producer = { producerName: "", producerVersion: "" };
    while (!lexer.takeIf("graph")) {
      const token = lexer.next;
      switch (lexer.expectKind("a field of the model or a graph", "word")) {
        case "ir_version":
          header.irVersion = parseInteger(lexer);
          break;
        case "opset":
          opsets.add(this.key("a domain"), parseInteger(lexer));
          break;
        case "producer":
          producer.producerName = this.string();
          producer.producerVersion = this.string();
          break;
        case "domain":
          header.domain = this.string();
          break;
        case "model_version":
          header.modelVersion = parseInteger(lexer);
          break;
        case "doc":
          header.docString = this.string();
          break;
        case "metadata":
          metadata.add(this.key("a metadata key"), this.string());
          break;
        case "opaque":
          header.opaque = parseBase64(lexer);
          break;
        default:
          throw lexer.error("a field of the model or a graph", token);
      }
    }
    const { irVersion, ...rest } = header;
    if (irVersion === undefined) throw lexer.error("ir_version before the graph");
    const graph = this.graph();
    lexer.expectKind("the end", "end");
    return { graph, opsets: opsets.toMap(), irVersion, ...producer, metadata: metadata.toMap(), ...rest };
  }

  /** A graph after its keyword. */
  private graph(): Graph {
    const { lexer } = this;
    if (++this.depth > MOST_NESTING) throw lexer.error(`at most ${MOST_NESTING} graphs inside of each other`);
    const name = this.string();
    const extras = { ...this.doc(), ...this.opaque() };
    const inputs: ValueInfo[] = [];
    const outputs: ValueInfo[] = [];
    const nodes: Node[] = [];
    const initializers = new Unique<ReturnType<typeof parseTensor>>("const", lexer);
    const types = new Unique<TensorType>("type", lexer);
    lexer.expect("{");
    while (!lexer.takeIf("}")) {
      if (lexer.takeIf("input")) inputs.push(this.border());
      else if (lexer.takeIf("output")) outputs.push(this.border());
      else if (lexer.takeIf("const")) {
        const token = this.value();
        lexer.expect(":");
        initializers.add(token, parseTensor(lexer, "="));
      } else if (lexer.takeIf("type")) {
        const token = this.value();
        lexer.expect(":");
        types.add(token, parseType(lexer));
      } else nodes.push(this.node(types));
    }
    this.depth--;
    return { name, inputs, outputs, nodes, initializers: initializers.toMap(), types: types.toMap(), ...extras };
  }

  private border(): ValueInfo {
    const { text: name } = this.value();
    this.lexer.expect(":");
    return { name, ...parseType(this.lexer), ...this.doc() };
  }

  private node(types: Unique<TensorType>): Node {
    const { lexer } = this;
    const outputs = this.results(types);
    const first = this.key("an operator");
    const qualified = lexer.takeIf("::");
    const op = qualified ? this.key("an operator").text : first.text;
    lexer.expect("(");
    const inputs = parseList(lexer, ")", () => (lexer.takeIf("_") ? "" : this.value().text));
    const attributes = new Unique<Attribute>("attribute", lexer);
    if (lexer.takeIf("{")) parseList(lexer, "}", () => attributes.add(this.key("an attribute"), this.attribute()));
    const name = lexer.next.kind === "string" ? this.string() : "";
    return {
      op,
      domain: qualified ? first.text : "",
      name,
      inputs,
      outputs,
      attributes: Object.fromEntries(attributes),
      ...this.doc(),
      ...this.metadata(),
      ...this.opaque(),
    };
  }

  /** Names before the `=` of a node, with their types where known. */
  private results(types: Unique<TensorType>): string[] {
    const { lexer } = this;
    if (lexer.takeIf("(")) {
      lexer.expect(")");
      lexer.expect("=");
      return [];
    }
    const names: string[] = [];
    do {
      if (lexer.takeIf("_")) names.push("");
      else {
        if (lexer.next.kind !== "value") throw lexer.error("input, const, type, output, a node or }");
        const token = lexer.take();
        names.push(token.text);
        if (lexer.takeIf(":")) types.add(token, parseType(lexer));
      }
    } while (lexer.takeIf(","));
    lexer.expect("=");
    return names;
  }

  /** An attribute after its name. */
  private attribute(): Attribute {
    const { lexer } = this;
    if (lexer.takeIf(":")) {
      const kind = LIST_KINDS.find((word) => lexer.takeIf(word));
      if (!kind) throw lexer.error(`one of ${LIST_KINDS.join(", ")}`);
      for (const mark of ["=", "[", "]"]) lexer.expect(mark);
      return { kind, value: [] };
    }
    lexer.expect("=");
    if (lexer.takeIf("[")) return this.list();
    if (lexer.next.kind === "string") return { kind: "string", value: this.string() };
    if (isNumber(lexer)) {
      const text = takeNumber(lexer);
      return { kind: isFloatText(text) ? "float" : "int", value: numberOf(text) };
    }
    if (lexer.takeIf("graph")) return { kind: "graph", value: this.graph() };
    if (lexer.takeIf("opaque")) return { kind: "opaque", value: parseBase64(lexer) };
    if (lexer.next.kind === "word" && isDType(lexer.next.text)) return { kind: "tensor", value: parseTensor(lexer) };
    throw lexer.error("an attribute value");
  }

  /** A list of at least one element; the first one tells the kind. */
  private list(): Attribute {
    const { lexer } = this;
    if (lexer.next.kind === "string") return { kind: "strings", value: parseList(lexer, "]", () => this.string()) };
    const kind = isNumber(lexer) && isFloatText(lexer.next.text) ? "floats" : "ints";
    const value = parseList(lexer, "]", () => {
      const token = lexer.next;
      const text = takeNumber(lexer);
      if (isFloatText(text) !== (kind === "floats")) throw lexer.error(`only ${kind} in this list`, token);
      return numberOf(text);
    });
    if (value.length === 0) throw lexer.error(`a kind before an empty list, such as ": ints = []"`);
    return { kind, value };
  }

  private doc(): { docString?: string } {
    return this.lexer.takeIf("doc") ? { docString: this.string() } : {};
  }

  private opaque(): { opaque?: Uint8Array } {
    return this.lexer.takeIf("opaque") ? { opaque: parseBase64(this.lexer) } : {};
  }

  private metadata(): { metadata?: Record<string, string> } {
    const { lexer } = this;
    if (!lexer.takeIf("metadata")) return {};
    const entries = new Unique<string>("metadata key", lexer);
    lexer.expect("{");
    parseList(lexer, "}", () => {
      const key = this.key("a metadata key");
      lexer.expect("=");
      entries.add(key, this.string());
    });
    return { metadata: Object.fromEntries(entries) };
  }

  private value(): Token {
    if (this.lexer.next.kind !== "value") throw this.lexer.error("a value such as %x");
    return this.lexer.take();
  }

  private key(expected: string): Token {
    const { kind } = this.lexer.next;
    if (kind !== "word" && kind !== "string") throw this.lexer.error(expected);
    return this.lexer.take();
  }

  private string(): string {
    return this.lexer.expectKind("a string in quotes", "string");
  }
}
