import { formatEinsum, parseEinsum } from "../einsum.js";
import type { GradientRule } from "./rule.js";
import type { Obstacle } from "./terms.js";

/**
 * A sum of products is linear in each operand: its gradient is the einsum of dY and the others, onto its own labels.
 * What neither of them knows in full size, a label that was summed in this operand alone, is stretched by ones.
 */
export const einsum: GradientRule<"Einsum"> = ({ emit, attributes, dY, inputs: { Inputs } }) => {
  const { operands, result } = parseEinsum(
    attributes.string("equation", ""),
    Inputs.map(({ dims }) => dims.length),
  );
  return {
    Inputs: Inputs.map((input, k) => () => {
      const factors = [dY, ...Inputs.filter((_, i) => i !== k)];
      const labels = [result, ...operands.filter((_, i) => i !== k)];
      const own = operands[k]!;
      const isShort = (label: string, i: number): boolean => {
        const sizes = labels.flatMap((list, j) =>
          list.flatMap((other, at) => (other === label ? [factors[j]!.dims[at]!] : [])),
        );
        return Math.max(0, ...sizes) < input.dims[i]!;
      };
      const missing = own.filter(isShort);
      const sizes = own.flatMap((label, i) => (missing.includes(label) ? [input.dims[i]!] : []));
      const ones = missing.length === 0 ? [] : [emit.expand(emit.scalar(1, dY), sizes)];
      const equation = formatEinsum({ operands: [...labels, ...ones.map(() => missing)], result: own });
      return emit.einsum(equation, [...factors, ...ones]);
    }),
  };
};

/** `ii->i` reads a diagonal. */
export const einsumObstacle: Obstacle = (attributes) => {
  const equation = attributes.string("equation", "");
  const terms = equation.replaceAll(/[ .]/g, "").split("->")[0]!.split(",");
  return terms.some((term) => new Set(term).size < term.length)
    ? `a label twice in one operand (${equation})`
    : undefined;
};
