import { sizeOf } from "../../../base/index.js";
import { attr, type Attributes, attributesOf, type Graph, type Node, type TensorType } from "../../ir/index.js";
import { Emitter } from "../../ops/index.js";

/** ONNX Runtime's own operators on channel-blocked tensors, [N, C/b, H, W, b] in memory; only its CPU provider has them. */
export const BLOCKED_DOMAIN = "com.microsoft.nchwc";

/** Of a blocked tensor, or the image that it stands for: [N, C, H, W]. */
export type Dims = readonly [count: number, channels: number, height: number, width: number];

const ours = { domain: BLOCKED_DOMAIN };

/** The runtime fills the last block with zeros, of channels that come in fours. */
const CHANNEL_STEP = 4;

/**
 * A graph while it is rewritten: which values are there in which form, and what turns one form into another.
 *
 * A value may be plain, as the graph has it, and have a blocked twin. Rules ask for the form that they need; what is missing is
 * written then, once. So a value is reordered only where a reader of the other kind stands behind its writer.
 */
export class Layout {
  private readonly nodes: (Node | undefined)[] = [];
  /** Where the writer of a value stands in `nodes`. */
  private readonly places = new Map<string, number>();
  /** Blocked forms by the name of the value. */
  private readonly twins = new Map<string, string>();
  /** Forms with the channels last: [N, H, W, C]. */
  private readonly lasts = new Map<string, string>();
  /** Values that were written in blocked form and have no other yet. */
  private readonly natives = new Set<string>();
  /** Nodes that move nothing: written when a plain reader asks for them. */
  private readonly deferred = new Map<string, Node>();
  private readonly types: ReadonlyMap<string, TensorType>;
  private readonly writers = new Map<string, Node>();
  private readonly readers = new Map<string, (Node | undefined)[]>();
  private readonly shared = new Map<string, string>();
  private readonly names: Emitter;

  constructor(
    readonly graph: Graph,
    /** Channels that stand together. */
    readonly block: number,
  ) {
    const border = [...graph.inputs, ...graph.outputs].map((value) => [value.name, value] as const);
    this.types = new Map([...border, ...graph.initializers, ...graph.types]);
    this.names = new Emitter(1, [...this.types.keys(), ...graph.nodes.map(({ name }) => name)], "blocked/");
    for (const node of graph.nodes) {
      for (const output of node.outputs) this.writers.set(output, node);
      for (const input of node.inputs) this.addReader(input, node);
    }
    for (const { name } of graph.outputs) this.addReader(name, undefined);
  }

  private addReader(name: string, node: Node | undefined): void {
    const readers = this.readers.get(name);
    if (readers) readers.push(node);
    else this.readers.set(name, [node]);
  }

  /** How many nodes of the graph read a value; being an output counts as one. */
  readersOf = (name: string): number => this.readers.get(name)?.length ?? 0;

  /** The one node that reads a value; undefined where there are others, or it is an output. */
  onlyReaderOf = (name: string): Node | undefined =>
    this.readersOf(name) === 1 ? this.readers.get(name)![0] : undefined;

  /** The node of the graph that writes a value. */
  writerOf = (name: string): Node | undefined => this.writers.get(name);

  shapeOf(name: string): readonly number[] | undefined {
    const dims = this.types.get(name)?.dims;
    return dims?.every((d) => typeof d === "number") ? dims : undefined;
  }

  /** The dimensions of an image of floats. */
  imageOf(name: string): Dims | undefined {
    const dims = this.types.get(name)?.dtype === "float32" ? this.shapeOf(name) : undefined;
    return dims?.length === 4 ? (dims as Dims) : undefined;
  }

  /** The numbers of a constant list. */
  intsOf(name: string): readonly number[] | undefined {
    const constant = this.graph.initializers.get(name);
    if (constant) return Array.from(constant.data as BigInt64Array, Number);
    const writer = this.writers.get(name);
    return writer?.op === "Constant" ? attributesOf(writer).ints("value_ints") : undefined;
  }

  /** The number of a constant scalar. */
  scalarOf(name: string): number | undefined {
    const constant = this.graph.initializers.get(name);
    if (constant) return constant.data.length === 1 ? Number(constant.data[0]) : undefined;
    const writer = this.writers.get(name);
    const value = writer?.op === "Constant" ? writer.attributes.value_float : undefined;
    return value?.kind === "float" ? value.value : undefined;
  }

  /** Channels of the blocked form. */
  filled = (channels: number): number => Math.ceil(channels / this.block) * this.block;

  isWhole = (channels: number): boolean => channels % this.block === 0;

  /** Whether the runtime can bring so many channels into blocks. */
  isBlockable = (channels: number): boolean => channels % CHANNEL_STEP === 0;

  /** Whether a value was written in blocked form. */
  isNative = (name: string): boolean => this.natives.has(name);

  /** Says that `twin` holds the value in blocked form. */
  settle(name: string, twin: string): void {
    this.twins.set(name, twin);
    this.natives.add(name);
  }

  /** The blocked form of an image. */
  blocked(name: string): string {
    let twin = this.twins.get(name);
    if (twin === undefined) {
      const seen = this.viewedBy(name);
      twin = seen
        ? this.reshape(this.blocked(seen), this.imageOf(name)!)
        : this.write("ReorderInput", [this.plain(name)], {}, ours);
      this.twins.set(name, twin);
    }
    return twin;
  }

  /** A kernel with one plane per channel is, in memory, an image of one sample. Shapes: [C, 1, K, K]. */
  blockedPlanes(name: string): string {
    let twin = this.twins.get(name);
    if (twin === undefined) {
      const [channels, , ...kernel] = this.imageOf(name)!;
      const seen = this.viewedBy(name);
      const image = seen
        ? this.blocked(seen)
        : this.write("ReorderInput", [this.reshape(this.plain(name), [1, channels, ...kernel])], {}, ours);
      twin = this.reshape(image, [this.filled(channels), 1, ...kernel]);
      this.twins.set(name, twin);
    }
    return twin;
  }

  /** The image of which this one is a view that only moves the border between samples and channels: their order is the same. */
  private viewedBy(name: string): string | undefined {
    const writer = this.writers.get(name);
    const source = writer?.op === "Reshape" ? writer.inputs[0]! : "";
    const [from, to] = [this.imageOf(source), this.imageOf(name)];
    if (!from || !to || from[2] !== to[2] || from[3] !== to[3]) return undefined;
    const isView = this.isWhole(from[1]) && this.isWhole(to[1] === 1 ? to[0] : to[1]);
    return isView ? source : undefined;
  }

  /** The value as the graph has it, under its own name. */
  plain(name: string): string {
    if (this.places.has(name)) return name;
    const node = this.deferred.get(name);
    if (node) {
      this.keep(node);
    } else if (this.natives.has(name)) {
      const channels = attr.int(this.imageOf(name)![1]);
      this.write("ReorderOutput", [this.twins.get(name)!], { channels }, { ...ours, output: name });
    }
    return name;
  }

  /** A blocked value with its channels last. Shapes: [N, H, W, C]. */
  channelsLast(name: string): string {
    let last = this.lasts.get(name);
    if (last === undefined) {
      const [count, channels, height, width] = this.imageOf(name)!;
      const attributes = { channels: attr.int(channels), channels_last: attr.int(1) };
      // One whole block is all of the channels: they are last already.
      last =
        channels === this.block
          ? this.reshape(this.blocked(name), [count, height, width, channels])
          : this.write("ReorderOutput", [this.blocked(name)], attributes, ours);
      this.lasts.set(name, last);
    }
    return last;
  }

  /** Writes a node of the graph as it is. */
  keep(node: Node): void {
    for (const input of node.inputs) if (input !== "") this.plain(input);
    this.push(node);
  }

  /** Leaves a node out until someone reads its output in plain form. */
  defer(node: Node): void {
    this.deferred.set(node.outputs[0]!, node);
  }

  /** Writes a node of our own; answers its output. */
  write(
    op: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    { domain = "", output }: { domain?: string; output?: string } = {},
  ): string {
    const name = this.names.freshName(`blocked/${op}`);
    const result = output ?? this.names.freshName(`${name}:out`);
    this.push({ op, domain, name, inputs: [...inputs], outputs: [result], attributes });
    return result;
  }

  /**
   * Takes back the writer of the blocked form of a value, so that it can be written again with more to do. Only when no one else
   * reads that value.
   */
  takeBack(name: string, fits: (writer: Node) => boolean): Node | undefined {
    const twin = this.natives.has(name) && this.readersOf(name) === 1 ? this.twins.get(name) : undefined;
    const place = this.places.get(twin ?? "");
    const writer = place === undefined ? undefined : this.nodes[place];
    if (!writer || this.places.has(name) || this.lasts.has(name) || !fits(writer)) return undefined;
    this.nodes[place!] = undefined;
    this.places.delete(twin!);
    return writer;
  }

  reshape(name: string, dims: readonly number[]): string {
    return this.write("Reshape", [name, this.ints(dims)]);
  }

  transpose(name: string, perm: readonly number[]): string {
    return this.write("Transpose", [name], { perm: attr.ints(perm) });
  }

  ints = (values: readonly number[]): string => this.constant(`ints:${values}`, { value_ints: attr.ints(values) });

  scalar = (value: number): string => this.constant(`scalar:${value}`, { value_float: attr.float(value) });

  /** A vector over the channels, with zeros where the last block is filled up. */
  vector(name: string, channels: number): string {
    const missing = this.filled(channels) - channels;
    const plain = this.plain(name);
    const flat = this.shapeOf(name)?.length === 1 ? plain : this.reshape(plain, [channels]);
    return missing === 0 ? flat : this.write("Pad", [flat, this.ints([0, missing])]);
  }

  /** The vector over the channels of the graph, of one over those of the blocks. */
  trimmed(vector: string, channels: number, output?: string): string {
    if (this.isWhole(channels)) return output ? this.write("Identity", [vector], {}, { output }) : vector;
    const bounds = [[0], [channels], [0]].map((each) => this.ints(each));
    return this.write("Slice", [vector, ...bounds], {}, output ? { output } : {});
  }

  /** All nodes, the outputs of the graph in plain form. */
  finish(): Node[] {
    for (const { name } of this.graph.outputs) this.plain(name);
    return this.nodes.filter((node) => node !== undefined);
  }

  private constant(key: string, attributes: Attributes): string {
    const name = this.shared.get(key) ?? this.write("Constant", [], attributes);
    this.shared.set(key, name);
    return name;
  }

  private push(node: Node): void {
    for (const output of node.outputs) this.places.set(output, this.nodes.length);
    this.nodes.push(node);
  }
}

/** Pixels of one plane. */
export const pixelsOf = ([, , ...plane]: Dims): number => sizeOf(plane);
