import { int64s, sizeOf, tensorOf } from "../../../src/base/index.js";
import { attr } from "../../../src/graph/ir/index.js";
import { type CaseOf, type Draw, single } from "./draw.js";

/** Rows of indices into the axes that `dims` names. */
function rowsInto(draw: Draw, lead: readonly number[], dims: readonly number[]): ReturnType<Draw["ints"]> {
  const values = draw.list(sizeOf(lead), () => dims.map((size) => draw.int(-size, size - 1)));
  return tensorOf("int64", [...lead, dims.length], values.flat());
}

export const gatherND: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(2, 4));
  const batch = draw.int(0, 1);
  const depth = draw.int(1, dims.length - batch);
  const lead = [...dims.slice(0, batch), ...draw.dims(draw.int(0, 2), 3)];
  return {
    inputs: [draw.floats(dims), rowsInto(draw, lead, dims.slice(batch, batch + depth))],
    attributes: { batch_dims: attr.int(batch) },
  };
};

/** Without a reduction no place is written twice, since the order is open. */
export const scatterND: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 3), 5);
  const reduction = draw.pick(["none", "add", "mul", "max", "min"]);
  if (reduction === "none") {
    const rows = draw.shuffled(dims[0]!).slice(0, draw.int(1, dims[0]!));
    const indices = tensorOf("int64", [rows.length, 1], rows);
    return { inputs: [draw.floats(dims), indices, draw.floats([rows.length, ...dims.slice(1)])], opset: 18 };
  }
  const depth = draw.int(1, dims.length);
  const lead = draw.dims(draw.int(1, 2), 3);
  return {
    inputs: [
      draw.floats(dims),
      rowsInto(draw, lead, dims.slice(0, depth)),
      draw.floats([...lead, ...dims.slice(depth)]),
    ],
    attributes: { reduction: attr.string(reduction) },
    opset: 18,
  };
};

export const trilu: CaseOf = (draw) => ({
  inputs: [
    draw.floats([...draw.dims(draw.int(0, 2), 2), ...draw.dims(2, 5)]),
    draw.flag() ? single(draw.int(-3, 3), "int64") : undefined,
  ],
  attributes: { upper: attr.int(draw.int(0, 1)) },
});

export const nonZero: CaseOf = (draw) => ({
  inputs: [draw.pick([draw.bools([3, 4]), draw.ints([2, 2, 3], 0, 1, "float32"), draw.ints([5], -1, 1)])],
});

export const nonMaxSuppression: CaseOf = (draw) => {
  const [images, classes, count] = [draw.int(1, 2), draw.int(1, 2), draw.int(1, 6)];
  return {
    inputs: [
      draw.floats([images, count, 4], 0, 1),
      draw.floats([images, classes, count], 0, 1),
      int64s([draw.int(1, 4)]),
      tensorOf("float32", [1], [draw.pick([0.1, 0.4])]),
      draw.flag() ? tensorOf("float32", [1], [0.3]) : undefined,
    ],
    attributes: draw.flag() ? { center_point_box: attr.int(1) } : {},
  };
};
