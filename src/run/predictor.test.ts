import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { maxDifference } from "../../test/helpers/parity.js";
import { noiseBatch, tinyNetwork } from "../../test/helpers/tiny.js";
import { evaluate, inferShapes } from "../graph/index.js";
import { createMachine } from "./machine.js";
import { Predictor } from "./predictor.js";
import type { Machine } from "./session.js";

const network = tinyNetwork();
const { images } = noiseBatch(3);
let machine: Machine;
let predictor: Predictor;
beforeAll(async () => {
  machine = createMachine();
  predictor = await Predictor.create(machine, network, { threads: 1 });
});
afterAll(() => machine[Symbol.asyncDispose]());

describe("a predictor", () => {
  test("gives what the reference gives, for any batch size", async () => {
    for (const size of [1, 3]) {
      const batch = noiseBatch(size, size).images;
      const expected = evaluate(network, { input: batch }).get("logits")!;
      const { output } = await predictor.predict(batch);
      expect(output.dims).toEqual(expected.dims);
      expect(maxDifference(output.data as Float32Array, expected.data)).toBeLessThan(1e-5);
    }
  });

  test("takes fewer images than the batch that a model fixes, and gives as many rows", async () => {
    const fixed = await Predictor.create(machine, inferShapes(network, { batch: 3 }), { threads: 1 });
    const one = noiseBatch(1).images;
    const [short, alone] = [await fixed.predict(one), await predictor.predict(one)];
    expect(short.output.dims).toEqual([1, 4]);
    expect(maxDifference(short.output.data as Float32Array, alone.output.data as Float32Array)).toBeLessThan(1e-5);
    await expect(fixed.predict(noiseBatch(4).images)).rejects.toMatchObject({ code: "shape.mismatch" });
    await fixed.dispose();
  });

  test.each([
    ["another width", { ...images, dims: [3, 3, 32, 8] }],
    ["another number of channels", { ...images, dims: [9, 1, 16, 16] }],
    ["no batch axis", { ...images, dims: [9, 16, 16] }],
    ["another element type", { ...images, dtype: "float64" as const }],
  ])("refuses images of %s, naming both shapes", async (_, wrong) => {
    await expect(predictor.predict(wrong)).rejects.toMatchObject({
      code: "shape.mismatch",
      context: { input: "input", expected: ["batch", 3, 16, 16], got: wrong.dims },
    });
  });

  test("refuses to predict after it was disposed, and its machine goes on", async () => {
    const other = await Predictor.create(machine, network);
    await other.dispose();
    await expect(other.predict(images)).rejects.toMatchObject({ code: "run.failed" });
    expect((await predictor.predict(images)).output.dims).toEqual([3, 4]);
  });
});
