/** The compiler: ONNX bytes to IR and back, graph passes, automatic differentiation, the float64 reference. No Node, no DOM. */
export * from "./autodiff/index.js";
export * from "./gates/index.js";
export * from "./ir/index.js";
export * from "./networks/index.js";
export * from "./onnx/index.js";
export * from "./ops/index.js";
export * from "./passes/index.js";
export * from "./patches/index.js";
export * from "./reference/index.js";
