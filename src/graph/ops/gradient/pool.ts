import { sizeOf, tensorOf } from "../../../base/index.js";
import { attr } from "../../ir/index.js";
import type { Emitter, Val } from "../emit.js";
import { poolGeometry, type WindowGeometry } from "../geometry.js";
import { scatterWindows, spatial } from "./conv/window.js";
import type { GradientContext, GradientRule } from "./rule.js";
import { equalMask, zerosLike } from "./terms.js";

const spatialAxes = (a: Val): number[] => spatial(a).map((_, i) => i + 2);

export const globalAveragePool: GradientRule<"GlobalAveragePool"> = ({ emit, dY, inputs: { X } }) => ({
  X: () => emit.expand(emit.div(dY, sizeOf(spatial(X))), X.dims),
});

/** Ties share evenly. */
export const globalMaxPool: GradientRule<"GlobalMaxPool"> = ({ emit, dY, inputs: { X }, outputs }) => ({
  X: () => {
    const wins = equalMask(emit, X, outputs[0]!);
    return emit.mul(wins, emit.div(dY, emit.reduceSum(wins, spatialAxes(X), true)));
  },
});

/** Each output gives its share back to every element of its window. Channels are folded into the batch: all use one kernel of ones. */
export const averagePool: GradientRule<"AveragePool"> = ({ emit, attributes, dY, inputs: { X } }) => ({
  X: () => {
    const geometry = poolGeometry(attributes, X.dims);
    const counts = windowCounts(geometry, spatial(X), attributes.int("count_include_pad", 0) === 1);
    const share = emit.div(dY, divisor(emit, dY, geometry.output, counts));
    const planes = emit.reshape(share, [sizeOf(X.dims.slice(0, 2)), 1, ...geometry.output]);
    const ones = emit.expand(emit.scalar(1, dY), [1, 1, ...geometry.kernel]);
    return emit.reshape(scatterWindows(emit, planes, ones, geometry, spatial(X)), X.dims);
  },
});

/** How many elements each window averages, axis by axis: those of the image, with `includePad` also those of the padding. */
function windowCounts(geometry: WindowGeometry, sizes: readonly number[], includePad: boolean): number[][] {
  return sizes.map((size, i) => {
    const [low, high] = includePad ? [-geometry.padsBegin[i]!, size + geometry.padsEnd[i]!] : [0, size];
    return Array.from({ length: geometry.output[i]! }, (_, o) => {
      const start = o * geometry.strides[i]! - geometry.padsBegin[i]!;
      const places = Array.from({ length: geometry.kernel[i]! }, (_, k) => start + k * geometry.dilations[i]!);
      return places.filter((place) => place >= low && place < high).length;
    });
  });
}

/** The number of elements per window: a scalar when all are alike, else one per output pixel. */
function divisor(emit: Emitter, like: Val, output: readonly number[], counts: readonly number[][]): Val {
  const products = counts.reduce<number[]>((all, axis) => all.flatMap((p) => axis.map((c) => p * c)), [1]);
  if (products.every((p) => p === products[0])) return emit.scalar(products[0]!, like);
  return emit.tensor(tensorOf(like.dtype, [1, 1, ...output], products), "windowCounts");
}

/**
 * Each output gives its gradient to the element that won its window (the first of equals, as the runtime picks it).
 * Windows that overlap may share a winner, so contributions add.
 */
export const maxPool: GradientRule<"MaxPool"> = (context) => ({
  X: () => {
    const { emit, attributes, dY, inputs } = context;
    const { X } = inputs;
    const geometry = poolGeometry(attributes, X.dims);
    const flat = (a: Val): Val => emit.reshape(a, [sizeOf(a.dims)]);
    const overlap = geometry.kernel.some((k, i) => (k - 1) * geometry.dilations[i]! + 1 > geometry.strides[i]!);
    const updates = [zerosLike(emit, flat(X)), flat(winners(context)), flat(dY)];
    const scatter = overlap ? { axis: attr.int(0), reduction: attr.string("add") } : { axis: attr.int(0) };
    return emit.reshape(emit.node("ScatterElements", updates, scatter)[0], X.dims);
  },
});

/** Positions of the maxima in the whole input, row-major: from the node when it gives them, else from a pool of our own. */
function winners({ emit, node, inputs: { X }, outputs }: GradientContext<"MaxPool">): Val {
  const { storage_order: order, ...window } = node.attributes;
  if (outputs[1] && (order?.kind !== "int" || order.value === 0)) return outputs[1];
  return emit.node("MaxPool", [X], window, { outputs: 2 })[1]!;
}
