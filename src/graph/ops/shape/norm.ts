import { formatShape } from "../../../base/index.js";
import { normalizeAxis } from "../geometry.js";
import type { ShapeContext, ShapeRule } from "../rule.js";
import { mismatch } from "./dims.js";

/** Per-channel parameters must have the length of axis 1. */
function checkChannels({ inputs }: ShapeContext, names: readonly string[]): void {
  const channels = inputs[0]?.dims?.[1];
  names.forEach((name, i) => {
    const dims = inputs[i + 1]?.dims;
    const size = dims?.[0];
    const wrong = typeof size === "number" && typeof channels === "number" && size !== channels;
    if (dims && (dims.length !== 1 || wrong)) {
      throw mismatch(
        `${name} [${channels ?? "C"}] for X ${formatShape(inputs[0]?.dims ?? [])}, got ${formatShape(dims)}`,
      );
    }
  });
}

/** Outputs 1 and 2 are the updated running statistics. */
export const batchNormalization: ShapeRule = (context) => {
  checkChannels(context, ["scale", "B", "input_mean", "input_var"]);
  const [x, , , mean, variance] = context.inputs;
  return [x, mean, variance];
};

export const instanceNormalization: ShapeRule = (context) => {
  checkChannels(context, ["scale", "B"]);
  return [context.inputs[0]];
};

/** Before opset 21 scale and bias have one entry per group, then one per channel. */
export const groupNormalization: ShapeRule = (context) => {
  const { inputs, attributes, opset } = context;
  const [x, scale, bias] = inputs;
  const groups = attributes.int("num_groups", 0);
  const channels = x?.dims?.[1];
  if (groups < 1 || (typeof channels === "number" && channels % groups !== 0))
    throw mismatch(`num_groups that divides the channels of ${formatShape(x?.dims ?? [])}, got ${groups}`);
  const length = opset < 21 ? groups : (channels ?? "");
  for (const [name, type] of [
    ["scale", scale],
    ["bias", bias],
  ] as const) {
    const size = type?.dims?.[0];
    const wrong = typeof size === "number" && typeof length === "number" && size !== length;
    if (type?.dims && (type.dims.length !== 1 || wrong))
      throw mismatch(`${name} [${length}] for X ${formatShape(x?.dims ?? [])}, got ${formatShape(type.dims)}`);
  }
  return [x];
};

/** Outputs 1 and 2 are the statistics, with the normalized axes kept as 1; `stash_type` 1 keeps them in float32. */
export const layerNormalization: ShapeRule = ({ inputs, attributes }) => {
  const [x] = inputs;
  if (!x?.dims) return [x];
  const axis = normalizeAxis(attributes.int("axis", -1), x.dims.length);
  const statistics = {
    dtype: x.dtype === "float64" ? x.dtype : "float32",
    dims: x.dims.map((d, i) => (i < axis ? d : 1)),
  } as const;
  return [x, statistics, statistics];
};
