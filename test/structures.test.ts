import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  backward,
  Emitter,
  evaluate,
  foldConstants,
  inferShapes,
  type Model,
  parametersOf,
  prepareModel,
  readModel,
  toReference,
} from "../src/graph/index.js";
import { readNpzFile } from "./helpers/npz.js";
import { runOrt } from "./helpers/ort.js";
import { relativeDistance } from "./helpers/parity.js";

/** What `peers/structures.py` wrote: graphs as two exporters make them, with PyTorch's gradients in float64. */
const folder = new URL("fixtures/structures/", import.meta.url);
const cases = readdirSync(folder).flatMap((file) => {
  const [, name, exporter] = /^(\w+)\.(\w+)\.onnx$/.exec(file) ?? [];
  return name && exporter ? [[name, exporter] as const] : [];
});

/** The model with the mean of its output's squares, and the gradients of that by the input and every parameter. */
function withGradients(model: Model, dims: readonly number[]): { model: Model; names: ReadonlyMap<string, string> } {
  const { graph, opsets } = foldConstants(inferShapes(model, { inputDims: { input: dims } }));
  const taken = graph.nodes.flatMap((node) => [node.name, ...node.outputs]);
  const emit = new Emitter(opsets.get("")!, [...taken, ...graph.initializers.keys(), "input"], "test/");
  const output = emit.value("output", graph.types.get("output")!);
  const loss = emit.meanAll(emit.mul(output, output));
  const wrt = ["input", ...parametersOf({ ...model, graph }).map(({ name }) => name)];
  const forward = emit.appendTo(graph);
  const gradients = backward(forward, { loss: loss.name, wrt, emit });
  const written = emit.appendTo(graph, [...graph.outputs, ...gradients.values()]);
  const names = [...gradients].map(([name, { name: value }]) => [`gradient.${name}`, value] as const);
  return {
    model: { ...model, graph: written, opsets: new Map([...opsets, ["com.microsoft", 1]]) },
    names: new Map([["output", "output"], ...names]),
  };
}

describe("graphs of published architectures", () => {
  test("are all there, from both exporters", () => {
    expect(cases).toHaveLength(16);
  });

  test.each(cases)("%s from %s: results and gradients are PyTorch's", async (name, exporter) => {
    const expected = readNpzFile(new URL(`${name}.npz`, folder).pathname);
    const input = expected.get("input")!;
    const model = prepareModel(readModel(readFileSync(new URL(`${name}.${exporter}.onnx`, folder))));
    const step = withGradients(model, input.dims);
    const found = evaluate(step.model, new Map([["input", toReference(input)]]));
    const run = await runOrt(step.model, new Map([["input", input]]));
    // An exporter may fold a norm into its convolution, or transpose a matrix: such a weight is another parameter.
    const { initializers } = model.graph;
    const isSame = (key: string): boolean => {
      const [own, given] = [initializers.get(key), expected.get(key)];
      return (
        own !== undefined && own.data.length === given?.data.length && own.data.every((v, i) => v === given.data[i])
      );
    };
    const compared = [...step.names].filter(
      ([key]) => !key.startsWith("gradient.") || key === "gradient.input" || isSame(key.slice(9)),
    );
    expect(compared.length).toBeGreaterThan(3);
    for (const [key, value] of compared) {
      const wanted = expected.get(key)!.data as Float32Array;
      expect(relativeDistance(found.get(value)!.data, wanted), key).toBeLessThan(2e-6);
      expect(relativeDistance(run.get(value)!.data as Float32Array, wanted), `${key} in ONNX Runtime`).toBeLessThan(
        1e-4,
      );
    }
  });
});
