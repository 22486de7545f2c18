import type { Tensor } from "../../../base/index.js";
import type { Attribute, AttributeReader, Node } from "../../ir/index.js";
import type { OpTable } from "../catalog.js";
import type { Axis, Labels } from "./labels.js";

export interface ChannelContext {
  readonly node: Node;
  readonly attributes: AttributeReader;
  readonly opset: number;
  readonly labels: Labels;
  /** The axes of an input as data; none where it is absent. An input whose axes nobody asks for is a setting and stays whole. */
  axes(index: number): readonly Axis[];
  /** The numbers of an input that is written into the model. */
  constant(index: number): readonly number[] | undefined;
  /** Sizes of the outputs; 0 where unknown. */
  readonly sizes: readonly (readonly number[])[];
  /** Keeps an axis whole; the sentence goes on after the name of the node. */
  freeze(axis: Axis, why: string): void;
  /** Axes of pixels, kernels and the like. */
  ignore(axes: readonly Axis[]): void;
  /** Marks the axis of a weight that it sums over: those weights take a channel, others make it. */
  consume(input: number, axis: Axis): void;
}

/** Which positions along the axes of its inputs and outputs an op ties together: the axes of each output. */
export type ChannelRule = (context: ChannelContext) => readonly (readonly Axis[])[];

export interface RewriteContext extends Pick<ChannelContext, "node" | "attributes" | "opset" | "axes" | "constant"> {
  outputs(index: number): readonly Axis[];
  /** Which positions of an axis stay. */
  kept(axis: Axis): readonly number[];
  /** Whether an output has the same size along an axis for every batch. */
  isStatic(output: number, axis: number): boolean;
}

/** What changes in a node beside its weights: attributes, and inputs that are settings. */
export interface Rewrite {
  readonly attributes?: Readonly<Record<string, Attribute | undefined>>;
  readonly settings?: Readonly<Record<number, Tensor>>;
}

/** An op whose attributes or settings speak of sizes along the axes that may shrink. */
export interface SizedRule {
  readonly trace: ChannelRule;
  /** Called where an axis of the node shrinks. */
  readonly rewrite: (context: RewriteContext) => Rewrite;
}

/** `"opaque"`: nothing passes; every axis that the op touches stays whole. */
export type ChannelTable = OpTable<ChannelRule | SizedRule, "opaque">;
