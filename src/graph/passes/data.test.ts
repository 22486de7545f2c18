import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runOrt } from "../../../test/helpers/ort.js";
import { Random, sizeOf, tensorOf, toNumbers } from "../../base/index.js";
import type { Model, ValueInfo } from "../ir/index.js";
import { readModel } from "../onnx/index.js";
import { costOf, foldConstants, inferShapes, upgradeOpset } from "./index.js";
import { staticDims } from "./knowledge.js";

const root = process.env.LIMBER_DATA ?? "";
const files =
  root === "" ? [] : readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".onnx"));

/** Open axes: a batch of 2, images of 64 × 96. */
const bindInput = ({ name, dims = [] }: ValueInfo): [string, number[]] => [
  name,
  dims.map((d, i) => (typeof d === "number" ? d : [2, 3, 64, 96][i]!)),
];
const prepare = (model: Model): Model => {
  const upgraded = upgradeOpset(model);
  return inferShapes(upgraded, { inputDims: Object.fromEntries(upgraded.graph.inputs.map(bindInput)) });
};
const read = (file: string): Model => readModel(readFileSync(join(root, file)));
const opsOf = (model: Model): Set<string> => new Set(model.graph.nodes.map(({ op }) => op));

describe.runIf(root !== "")("real models (skipped without LIMBER_DATA)", () => {
  test.each(files)("%s: shapes are static, folded and upgraded outputs are those of ONNX Runtime", async (file) => {
    const original = read(file);
    const model = prepare(original);
    const open = model.graph.nodes.flatMap(({ outputs }) =>
      outputs.filter((name) => name !== "" && !staticDims(model.graph.types.get(name))),
    );
    expect(open).toEqual([]);
    expect(costOf(model)).toMatchObject({ uncounted: [] });

    const random = new Random(5);
    const feeds = new Map(
      model.graph.inputs.map(({ name, dims }) => {
        const sizes = dims as number[];
        return [
          name,
          tensorOf(
            "float32",
            sizes,
            Array.from({ length: sizeOf(sizes) }, () => random.uniform(-1, 1)),
          ),
        ];
      }),
    );
    const expected = await runOrt(original, feeds);
    const actual = await runOrt(foldConstants(model), feeds);
    for (const { name, dims } of model.graph.outputs) {
      expect(expected.get(name)?.dims).toEqual(dims);
      const wanted = toNumbers(expected.get(name)!);
      const largest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      const scale = largest(wanted);
      const error = largest(toNumbers(actual.get(name)!).map((x, i) => x - wanted[i]!));
      expect(error / scale).toBeLessThan(1e-5);
    }
  });

  test("the shape arithmetic of version-slim-320 folds away", () => {
    const model = prepare(read("graphs/version-slim-320.onnx"));
    const arithmetic = ["Shape", "Gather", "Unsqueeze", "Constant"];
    expect([...opsOf(model)]).toEqual(expect.arrayContaining(arithmetic));
    const left = opsOf(foldConstants(model));
    expect(arithmetic.filter((op) => left.has(op))).toEqual([]);
  });
});
