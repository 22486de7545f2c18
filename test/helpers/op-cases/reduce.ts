import { int64s } from "../../../src/base/index.js";
import { attr } from "../../../src/graph/ir/index.js";
import { type CaseOf, single } from "./draw.js";

/** `axesSince`: the opset from which axes are an input instead of an attribute. */
export const reduce =
  (axesSince: number, low = -2): CaseOf =>
  (draw) => {
    const opset = draw.pick([17, 18, 21]);
    const rank = draw.int(1, 4);
    const axes = draw.axes(rank);
    const data = draw.floats(draw.dims(rank), low, 2);
    const keepdims = draw.flag() ? { keepdims: attr.int(draw.int(0, 1)) } : {};
    if (opset < axesSince)
      return { inputs: [data], attributes: axes.length > 0 ? { ...keepdims, axes: attr.ints(axes) } : keepdims, opset };
    const noop = draw.flag() ? { noop_with_empty_axes: attr.int(draw.int(0, 1)) } : {};
    return {
      inputs: draw.flag() || axes.length > 0 ? [data, int64s(axes)] : [data],
      attributes: { ...keepdims, ...noop },
      opset,
    };
  };

/** Equal elements occur, so that the order of choice shows. */
export const argument: CaseOf = (draw) => {
  const rank = draw.int(1, 4);
  const attributes = {
    axis: attr.int(draw.axis(rank)),
    keepdims: attr.int(draw.int(0, 1)),
    select_last_index: attr.int(draw.int(0, 1)),
  };
  return { inputs: [draw.ints(draw.dims(rank), 0, 3, "float32")], attributes };
};

export const softmax: CaseOf = (draw) => {
  const rank = draw.int(1, 4);
  return {
    inputs: [draw.floats(draw.dims(rank, 6), -20, 20)],
    attributes: draw.flag() ? { axis: attr.int(draw.axis(rank)) } : {},
  };
};

export const hardmax: CaseOf = (draw) => {
  const rank = draw.int(1, 4);
  return {
    inputs: [draw.ints(draw.dims(rank, 6), 0, 3, "float32")],
    attributes: draw.flag() ? { axis: attr.int(draw.axis(rank)) } : {},
  };
};

export const cumSum: CaseOf = (draw) => {
  const rank = draw.int(1, 3);
  const attributes = { exclusive: attr.int(draw.int(0, 1)), reverse: attr.int(draw.int(0, 1)) };
  return { inputs: [draw.floats(draw.dims(rank)), single(draw.axis(rank), "int64")], attributes };
};

export const topK: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 3), 6);
  const axis = draw.axis(dims.length);
  const k = draw.int(1, dims.at(axis)!);
  const values = draw.flag() ? draw.distinct(dims) : draw.ints(dims, 0, 3, "float32");
  return {
    inputs: [values, int64s([k])],
    attributes: { axis: attr.int(axis), largest: attr.int(draw.int(0, 1)) },
    outputs: 2,
  };
};
