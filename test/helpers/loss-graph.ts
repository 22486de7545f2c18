import { expect } from "vitest";
import type { Tensor } from "../../src/base/index.js";
import { backward, type Loss } from "../../src/graph/autodiff/index.js";
import type { Graph } from "../../src/graph/ir/index.js";
import { Emitter, type ReferenceTensor } from "../../src/graph/ops/index.js";
import { evaluate } from "../../src/graph/reference/index.js";

const refuse = (): never => {
  throw new Error("a loss of the output alone asks for nothing else");
};
const BARE = {
  ...{ unperturbed: undefined, parameters: [], value: refuse, carry: refuse, input: refuse, pass: refuse },
  ...{ measure: refuse, onlyIf: refuse },
};

/** The loss alone, as a graph over its inputs, with its gradient by the output of the model. */
export class LossGraph {
  private readonly graph: Graph;
  private readonly names: { readonly loss: string; readonly gradient: string };

  constructor(
    loss: Loss,
    private readonly output: Tensor | ReferenceTensor,
    private readonly targets?: Tensor,
  ) {
    const emit = new Emitter(17, ["output", "targets"]);
    const type = { dtype: "float32", dims: output.dims } as const;
    const value = loss.build({
      ...BARE,
      emit,
      output: emit.value("output", type),
      targets: targets && emit.value("targets", targets),
    });
    const inputs = [{ name: "output", ...type }, ...(targets ? [{ ...targets, name: "targets" }] : [])];
    const base: Graph = { name: "loss", inputs, outputs: [], nodes: [], initializers: new Map(), types: new Map() };
    expect(value.dims).toEqual([]);
    const gradient = backward(emit.appendTo(base), { loss: value.name, wrt: ["output"], emit }).get("output")!;
    this.graph = emit.appendTo(base, [value, gradient]);
    this.names = { loss: value.name, gradient: gradient.name };
  }

  at(output: Tensor | ReferenceTensor = this.output): { loss: number; gradient: Float64Array } {
    const feeds = new Map([["output", output] as const, ...(this.targets ? [["targets", this.targets] as const] : [])]);
    const found = evaluate(this.graph, feeds, { opset: 17 });
    return { loss: found.get(this.names.loss)!.data[0]!, gradient: found.get(this.names.gradient)!.data };
  }

  /** The largest difference to central differences, as a part of the largest gradient. */
  gradientError(): number {
    const { dims, data } = this.output;
    const values = Float64Array.from(data as Float64Array);
    const { gradient } = this.at();
    const scale = gradient.reduce((max, g) => Math.max(max, Math.abs(g)), 0);
    const errors = values.map((value, i) => {
      const lossAt = (t: number): number => this.at({ dtype: "float32", dims, data: values.with(i, value + t) }).loss;
      return Math.abs(gradient[i]! - (lossAt(1e-5) - lossAt(-1e-5)) / 2e-5) / scale;
    });
    return Math.max(...errors);
  }
}
