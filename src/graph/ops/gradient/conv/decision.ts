import { sizeOf, type Tensor } from "../../../../base/index.js";
import type { Model } from "../../../ir/index.js";
import { Emitter, type Val } from "../../emit.js";
import type { Formulation } from "./formulation.js";
import { forwardFormulations, preferredForward } from "./forward.js";
import { inputFormulations, preferredInput } from "./input.js";
import { preferredWeight, weightFormulations } from "./weight.js";
import type { Convolution, Layer } from "./window.js";

/** What of a convolution is written: its output, or its gradient by input or weight. */
export type ConvolutionPart = "forward" | "input" | "weight";

/** A place where several formulations compute the same. */
export interface Decision {
  readonly part: ConvolutionPart;
  readonly layer: Layer;
  /** Names of the formulations that fit. */
  readonly candidates: readonly string[];
  /** The one that the built-in rules take. */
  readonly preferred: string;
}

/** Picks a formulation; undefined, or a name that is no candidate, leaves it to the built-in rules. */
export type Choose = (decision: Decision) => string | undefined;

type Formulations = Readonly<Record<string, Formulation>>;

export const FORMULATIONS: Readonly<Record<ConvolutionPart, Formulations>> = {
  forward: forwardFormulations,
  input: inputFormulations,
  weight: weightFormulations,
};

const PREFERRED: Readonly<Record<ConvolutionPart, (layer: Layer) => string>> = {
  forward: preferredForward,
  input: preferredInput,
  weight: preferredWeight,
};

/** What there is to decide for one part of a layer. */
export function decisionOf(part: ConvolutionPart, layer: Layer): Decision {
  const fitting = Object.entries(FORMULATIONS[part]).filter(([, { fits }]) => fits(layer));
  return { part, layer, candidates: fitting.map(([name]) => name), preferred: PREFERRED[part](layer) };
}

/** Writes one part of a layer in the formulation that was chosen. */
export function formulate(emit: Emitter, part: ConvolutionPart, convolution: Convolution, choose?: Choose): Val {
  return FORMULATIONS[part][chosenName(decisionOf(part, convolution), choose)]!.write(emit, convolution);
}

/** The output of a layer in another form than the operator; undefined when the operator was chosen. */
export function formulateForward(emit: Emitter, layer: Layer, choose?: Choose): Val | undefined {
  const name = chosenName(decisionOf("forward", layer), choose) as keyof typeof forwardFormulations;
  return name === "convolution" ? undefined : forwardFormulations[name].write(emit, layer);
}

function chosenName(decision: Decision, choose: Choose | undefined): string {
  const name = choose?.(decision);
  return name !== undefined && decision.candidates.includes(name) ? name : decision.preferred;
}

/** Equal for decisions that a measurement of one answers for all, and stable: measurements are stored under it. */
export function describeDecision({ part, layer: { geometry, group, X, W, isConstant } }: Decision): string {
  const { strides, dilations, padsBegin, padsEnd } = geometry;
  const list = (name: string, values: readonly number[]): string => `${name}${values.join("x")}`;
  return [
    ...[part, X.dtype, list("", X.dims), list("w", W.dims), list("s", strides), list("d", dilations)],
    ...[list("p", [...padsBegin, ...padsEnd]), `g${group}`, ...(isConstant ? ["constant"] : [])],
  ].join(" ");
}

/** Multiply-accumulates of any part, when nothing is computed in vain. */
export const macsOf = ({ layer: { X, W, geometry } }: Decision): number =>
  X.dims[0]! * sizeOf(W.dims) * sizeOf(geometry.output);

/**
 * One formulation of a decision as a model of its own, to be measured or checked.
 * A constant kernel is an initializer, all else an input; the one output is the result.
 */
export function writeDecision({ part, layer }: Decision, name: string, kernel: Tensor): Model {
  const emit = new Emitter(17, ["X", "W", "dY"]);
  const X = emit.value("X", layer.X);
  const W = emit.value("W", layer.W, layer.isConstant ? kernel : undefined);
  const dY = emit.value("dY", { dtype: X.dtype, dims: [X.dims[0]!, W.dims[0]!, ...layer.geometry.output] });
  const result = FORMULATIONS[part][name]!.write(emit, { ...layer, X, W, dY });
  const read = new Set(emit.nodes.flatMap(({ inputs }) => inputs));
  const inputs = [X, W, dY].filter((v) => read.has(v.name) && !(layer.isConstant && v === W));
  const initializers = new Map(layer.isConstant && read.has("W") ? [["W", kernel]] : []);
  const graph = { name: "decision", inputs, outputs: [result], nodes: emit.nodes, initializers, types: emit.types };
  const opsets = new Map([
    ["", emit.opset],
    ["com.microsoft", 1],
  ]);
  return { graph, opsets, irVersion: 8, producerName: "limber", producerVersion: "", metadata: new Map() };
}
