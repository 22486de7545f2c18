import { sizeOf, tensorOf } from "../../../base/index.js";
import { attr } from "../../ir/index.js";
import type { Emitter, Val } from "../emit.js";
import type { GradientRule } from "./rule.js";
import { zerosLike } from "./terms.js";

/** Adds rows back to where they were read. Batch axes become part of the index, since ScatterND has none. */
export const gatherND: GradientRule<"GatherND"> = ({ emit, attributes, dY, inputs: { data, indices } }) => ({
  data: () => {
    const places = withBatchIndices(emit, indices, attributes.int("batch_dims", 0));
    return emit.node("ScatterND", [zerosLike(emit, data), places, dY], { reduction: attr.string("add") })[0];
  },
  indices: null,
});

/** Shapes: [B…, R…, K] → [B…, R…, |B| + K]. */
function withBatchIndices(emit: Emitter, indices: Val, batch: number): Val {
  if (batch === 0) return indices;
  const rows = indices.dims.slice(0, -1);
  const strides = rows.map((_, i) => sizeOf(rows.slice(i + 1)));
  const coordinates = Array.from({ length: sizeOf(rows) }, (_, row) =>
    rows.slice(0, batch).map((size, i) => Math.floor(row / strides[i]!) % size),
  );
  const prefix = emit.tensor(tensorOf("int64", [...rows, batch], coordinates.flat()), "batchIndices");
  return emit.concat([prefix, indices], rows.length);
}

/** Overwritten elements have no gradient; with `add` they keep it. */
export const scatterND: GradientRule<"ScatterND"> = ({ emit, attributes, dY, inputs: { indices, updates } }) => ({
  data: () => {
    if (attributes.string("reduction", "none") === "add") return dY;
    return emit.node("ScatterND", [dY, indices, zerosLike(emit, updates)])[0];
  },
  updates: () => emit.node("GatherND", [dY, indices])[0],
  indices: null,
});

/** The same triangle of the gradient. */
export const trilu: GradientRule<"Trilu"> = ({ emit, node, dY, inputs: { k } }) => ({
  input: () => emit.node("Trilu", k ? [dY, k] : [dY], node.attributes)[0],
  k: null,
});
