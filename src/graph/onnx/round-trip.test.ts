import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runOrt } from "../../../test/helpers/ort.js";
import { bytesOf, Random, sizeOf, type Tensor, tensorOf } from "../../base/index.js";
import { type Model, parseModel, printModel, type ValueInfo } from "../ir/index.js";
import { readModel, writeModel } from "./index.js";

const data = process.env.LIMBER_DATA;
const models = data
  ? readdirSync(data, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".onnx"))
  : [];

/** A seeded input; open axes are a batch of 2 and images of 64 × 96. */
function feedOf({ dtype, dims }: ValueInfo, random: Random): Tensor {
  const sizes = dims!.map((d, i) => (typeof d === "number" ? d : [2, 3, 64, 96][i]!));
  const values = Array.from({ length: sizeOf(sizes) }, () => random.uniform(-1, 1));
  return tensorOf(dtype, sizes, values);
}

describe.runIf(data)("round trip of real models (LIMBER_DATA)", () => {
  test.each(models)("%s keeps every field, every bit of its outputs and, written twice, every byte", async (path) => {
    const original = readFileSync(join(data!, path));
    const model = readModel(original);
    const bytes = writeModel(model);
    const again = readModel(bytes);
    const withoutWeights = (m: Model): Model => ({ ...m, graph: { ...m.graph, initializers: new Map() } });
    expect(withoutWeights(again)).toEqual(withoutWeights(model));
    expect(Buffer.compare(writeModel(again), bytes)).toBe(0);
    expect(Buffer.compare(writeModel(parseModel(printModel(model))), bytes)).toBe(0);

    const random = new Random(17);
    const { inputs, initializers, outputs } = model.graph;
    const feeds = new Map(inputs.filter(({ name }) => !initializers.has(name)).map((v) => [v.name, feedOf(v, random)]));
    const expected = await runOrt(original, feeds);
    const actual = await runOrt(bytes, feeds);
    expect([...actual.keys()].sort()).toEqual(outputs.map(({ name }) => name).sort());
    for (const [name, value] of expected) {
      expect(actual.get(name)!.dims).toEqual(value.dims);
      expect(Buffer.compare(bytesOf(actual.get(name)!), bytesOf(value))).toBe(0);
    }
  });
});
