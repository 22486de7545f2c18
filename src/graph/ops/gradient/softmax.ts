import { normalizeAxis } from "../geometry.js";
import type { GradientContext, GradientRule } from "./rule.js";

const softmaxAxis = ({ attributes, dY }: Pick<GradientContext<"Softmax">, "attributes" | "dY">): number[] => [
  normalizeAxis(attributes.int("axis", -1), dY.dims.length),
];

/** p · (dY − Σ dY · p). */
export const softmax: GradientRule<"Softmax"> = (context) => ({
  input: () => {
    const { emit, dY, outputs } = context;
    const weighted = emit.mul(dY, outputs[0]!);
    return emit.sub(weighted, emit.mul(outputs[0]!, emit.reduceSum(weighted, softmaxAxis(context), true)));
  },
});

/** dY − p · Σ dY. */
export const logSoftmax: GradientRule<"LogSoftmax"> = (context) => ({
  input: () => {
    const { emit, dY, outputs } = context;
    return emit.sub(dY, emit.mul(emit.exp(outputs[0]!), emit.reduceSum(dY, softmaxAxis(context), true)));
  },
});
