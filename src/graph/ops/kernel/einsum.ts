import { sizeOf } from "../../../base/index.js";
import { parseEinsum } from "../einsum.js";
import { createTensor, type Kernels, mismatch, stridesOf } from "./support.js";

export const einsumKernels: Kernels<"Einsum"> = {
  /** Sums the products of the operands over every label that the result leaves out. */
  Einsum({ Inputs }, { attributes }) {
    const ranks = Inputs.map(({ dims }) => dims.length);
    const { operands, result } = parseEinsum(attributes.string("equation", ""), ranks);
    const sizes = new Map<string, number>();
    operands.forEach((labels, k) =>
      labels.forEach((label, i) => sizes.set(label, Math.max(sizes.get(label) ?? 1, Inputs[k]!.dims[i]!))),
    );
    const loops = [...result, ...[...sizes.keys()].filter((label) => !result.includes(label))];
    // How far each operand moves with one step of each label; axes of size 1 stand still, repeated labels walk a diagonal.
    const steps = Inputs.map(({ dims }, k) => {
      const strides = stridesOf(dims);
      return loops.map((label) => {
        const size = sizes.get(label)!;
        return operands[k]!.reduce((step, own, i) => {
          if (own !== label) return step;
          if (dims[i] !== size && dims[i] !== 1) throw mismatch(`Einsum: equal sizes for "${label}"`, dims);
          return step + (dims[i] === 1 ? 0 : strides[i]!);
        }, 0);
      });
    });
    const y = createTensor(
      Inputs[0]!.dtype,
      result.map((label) => sizes.get(label)!),
    );
    const inner = sizeOf(loops.slice(result.length).map((label) => sizes.get(label)!));
    const visit = (level: number, offsets: readonly number[], position: number): number => {
      if (level === loops.length) {
        y.data[Math.floor(position / inner)]! += Inputs.reduce(
          (product, { data }, k) => product * data[offsets[k]!]!,
          1,
        );
        return position + 1;
      }
      let at = position;
      for (let i = 0; i < sizes.get(loops[level]!)!; i++) {
        at = visit(
          level + 1,
          offsets.map((offset, k) => offset + i * steps[k]![level]!),
          at,
        );
      }
      return at;
    };
    visit(
      0,
      Inputs.map(() => 0),
      0,
    );
    return y;
  },
};
