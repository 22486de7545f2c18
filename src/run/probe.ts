import { type Model, OWN_HEADER } from "../graph/index.js";

/** y = -x, on two numbers. */
export const NEGATE: Model = {
  graph: {
    name: "negate",
    inputs: [{ name: "x", dtype: "float32", dims: [2] }],
    outputs: [{ name: "y", dtype: "float32", dims: [2] }],
    nodes: [{ op: "Neg", domain: "", name: "negate", inputs: ["x"], outputs: ["y"], attributes: {} }],
    initializers: new Map(),
    types: new Map(),
  },
  ...OWN_HEADER,
};
