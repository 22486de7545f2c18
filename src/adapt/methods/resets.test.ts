import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readNpzFile } from "../../../test/helpers/npz.js";
import { maxDifference } from "../../../test/helpers/parity.js";
import { createReferenceRun, type ReferenceEngine } from "../../../test/helpers/reference-host.js";
import { prepareModel, readModel } from "../../graph/index.js";
import type { RunTensor, StepReport } from "../../run/node.js";
import { type Method, planMethod } from "../method.js";
import { eta } from "./eata.js";
import { sar } from "./sar.js";

const folder = new URL("../../../test/fixtures/methods/", import.meta.url);
const network = prepareModel(readModel(readFileSync(new URL("network.onnx", folder))));
const stream = readNpzFile(new URL("cotta.npz", folder).pathname).get("images")!.data as Float64Array;
const batchOf = (step: number): RunTensor => ({
  ...{ dtype: "float32", dims: [4, 3, 8, 8] },
  data: stream.slice(step * 768, (step + 1) * 768),
});

/** Takes batches of the stream in float64. */
async function take(
  method: Method,
  options: object,
  steps: readonly number[],
): Promise<{ engine: ReferenceEngine; reports: StepReport[] }> {
  const { run, engine } = createReferenceRun(network, planMethod(method, network, 4, options));
  const reports: StepReport[] = [];
  for (const step of steps) reports.push(await run.step({ images: batchOf(step), indices: [] }));
  return { engine, reports };
}
const hasMoved = (engine: ReferenceEngine): boolean =>
  [...engine.weights()].some(
    ([name, { data }]) => maxDifference(data, network.graph.initializers.get(name)!.data as Float32Array) > 0,
  );

describe("eta", () => {
  /** Everything is selected, and every second batch begins with a reset. */
  const options = { maximumEntropy: 1, maximumCosine: 1, resetEvery: 2 };
  const meanAfter = async (settings: object, steps: readonly number[]): Promise<Float64Array> =>
    (await take(eta, { ...options, ...settings }, steps)).engine.carried("mean-prediction").data;

  test("keeps its mean prediction over a reset, or begins it anew where asked", async () => {
    const fresh = await meanAfter({}, [2]);
    expect(maxDifference(await meanAfter({ meanAfterReset: "clear" }, [0, 1, 2]), fresh)).toBe(0);
    const before = await meanAfter({}, [0, 1]);
    const kept = before.map((past, k) => 0.9 * past + 0.1 * fresh[k]!);
    expect(maxDifference(await meanAfter({ meanAfterReset: "keep" }, [0, 1, 2]), kept)).toBeLessThan(1e-12);
  });
});

describe("sar", () => {
  const options = { maximumEntropy: 1, freezes: [] };

  test("goes on with its average over a reset, so that resets follow each other, or begins it anew where asked", async () => {
    const losses = await Promise.all(
      [0, 1, 2, 3].map(async (step) => (await take(sar, { ...options, resetBelow: 0 }, [step])).reports[0]!.loss!),
    );
    const [low, high] = [Math.min(...losses), Math.max(...losses)];
    const steps = [losses.indexOf(low), losses.indexOf(high)];
    const resetBelow = (low + high) / 2;
    const movedBy = async (averageAfterReset: string): Promise<boolean> =>
      hasMoved((await take(sar, { ...options, resetBelow, averageAfterReset, momentum: 0 }, steps)).engine);
    expect([await movedBy("keep"), await movedBy("clear")]).toEqual([false, true]);
  });

  test("keeps the momentum over a reset, or clears it where asked", async () => {
    const momentumBy = async (momentumAfterReset: string): Promise<boolean> => {
      const { engine } = await take(sar, { ...options, resetBelow: 100, momentumAfterReset }, [0]);
      expect(hasMoved(engine)).toBe(false);
      const buffers = [...(await engine.readBuffer("momentum"))];
      expect(buffers.length).toBeGreaterThan(0);
      return buffers.some(([, { data }]) => (data as Float64Array).some((value) => value !== 0));
    };
    expect([await momentumBy("keep"), await momentumBy("clear")]).toEqual([true, false]);
  });
});
