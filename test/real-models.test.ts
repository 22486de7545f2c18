import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { limber, temporaryFolder } from "../src/cli/harness.test-helper.js";
import { type Model, parametersOf, prepareModel } from "../src/graph/index.js";
import { createMachine, type Machine, Predictor, readModelFile, type RunTensor } from "../src/run/node.js";
import { maxDifference } from "./helpers/parity.js";
import { type Descent, descend } from "./helpers/real/descent.js";
import { firstBatch, measure } from "./helpers/real/measure.js";
import { REAL_MODELS } from "./helpers/real/models.js";
import { type Row, writeTable } from "./helpers/real/table.js";
import { noise } from "./helpers/real/noise.js";

const data = process.env.LIMBER_DATA ?? "";
const full = process.env.LIMBER_FULL !== undefined;
if (full) vi.setConfig({ testTimeout: 600_000 });
/** Classifiers whose images are few and small enough for every run. */
const QUICK = /vww|imagenet/;
const BATCH = { sourceWeight: 0, variance: "unbiased" } as const;

describe.runIf(data)("real models (LIMBER_DATA)", () => {
  const folder = temporaryFolder();
  let machine: Machine;
  beforeAll(() => {
    machine = createMachine();
  });
  afterAll(() => machine[Symbol.asyncDispose]());
  const open = async (path: string): Promise<Model> => prepareModel(await readModelFile(join(data, path)));
  const rows = new Map<string, Row>(REAL_MODELS.map((real) => [real.path, { path: real.path, task: real.task }]));
  const note = (path: string, found: Partial<Row>): unknown => rows.set(path, { ...rows.get(path)!, ...found });

  test("each have an entry here", () => {
    const files = readdirSync(data, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".onnx"));
    expect(REAL_MODELS.map(({ path }) => path).sort()).toEqual(files.sort());
  });

  describe.each(REAL_MODELS.map((real) => [real.path, real] as const))("%s", (path, real) => {
    const { width, height } = real.preprocessing;

    test("is described by limber inspect, and nothing in it stops a gradient", async () => {
      const { code, json } = await limber(["inspect", join(data, path), "--input", `3x${height}x${width}`, "--json"]);
      const found = json() as Row["inspected"] & { unknownShapes: number; ungradable: unknown[] };
      expect({ code, ...found }).toMatchObject({ code: 0, unknownShapes: 0, ungradable: [] });
      expect(found.trainable).toBeGreaterThan(0);
      note(path, { inspected: found });
    });

    test.runIf(full || QUICK.test(path))(
      "loses as much of its loss in one step of all parameters as the gradient promises",
      async () => {
        const model = await open(path);
        const batch = await firstBatch(real, data, { images: noise([real.batchSize, 3, height, width]) });
        const hasStatistics = parametersOf(model).some(({ node }) => node.op === "BatchNormalization");
        const steps: Record<string, Descent> = {};
        if (hasStatistics) steps.batch = await descend(model, batch, BATCH, machine);
        if (full || !hasStatistics) steps.fixed = await descend(model, batch, "fixed", machine);
        for (const { before, after, agreement } of Object.values(steps)) {
          expect(after).toBeLessThan(before);
          expect(agreement).toBeGreaterThan(0.9);
          expect(agreement).toBeLessThan(1.1);
        }
        note(path, { steps });
      },
    );

    test.runIf(real.task !== "classification")(
      "is given new statistics by limber adapt, from pictures alone",
      async () => {
        const output = join(folder, "adapted.onnx");
        const size = real.task === "segmentation" ? ["--size", "120x160"] : [];
        const pictures = join(data, "coco_mini/dev/val2017/images");
        const few = ["--data", pictures, "--limit", "5", "--batch", "4"];
        const flags = [...size, ...few, "--method", "bn", "--output", output, "--json"];
        const { code, json } = await limber(["adapt", join(data, path), ...flags]);
        expect(code).toBe(0);
        expect(json()).toMatchObject({ onlineAccuracy: null, afterAccuracy: null, refused: 0, skipped: 0 });
        const [before, after] = [await open(path), prepareModel(await readModelFile(output))];
        const statistics = before.graph.nodes.flatMap(({ op, inputs }) =>
          op === "BatchNormalization" ? [inputs[3]!] : [],
        );
        const isMoved = (name: string): boolean =>
          !isDeepStrictEqual(before.graph.initializers.get(name), after.graph.initializers.get(name));
        expect(statistics.length).toBeGreaterThan(10);
        expect(statistics.filter((name) => !isMoved(name))).toEqual([]);
      },
    );

    test.runIf(real.task !== "none" && (full || QUICK.test(path)))(
      "is as good as others measured it to be",
      async () => {
        const measurements = await measure(real, await open(path), machine, data);
        for (const { of, found, expected, tolerance } of measurements)
          expect(Math.abs(found - expected), `${of}: ${found} instead of ${expected}`).toBeLessThan(tolerance);
        note(path, { measurements });
      },
    );
  });

  test("agree where one is the other with its normalization folded", async () => {
    const images = noise([4, 3, 128, 128]);
    const outputs: RunTensor[] = [];
    for (const name of ["bn", "folded"]) {
      const model = await open(`imagenet_mobilenets/mobilenet_v1_025_128_${name}.onnx`);
      const predictor = await Predictor.create(machine, model);
      outputs.push((await predictor.predict(images)).output);
      await predictor.dispose();
    }
    const [kept, folded] = outputs.map((output) => output.data as Float32Array);
    expect(maxDifference(kept!, folded!)).toBeLessThan(1e-4);
  });

  test.runIf(full)("are listed in docs/models.md with these figures", async () => {
    await expect(writeTable([...rows.values()])).toMatchFileSnapshot("../docs/models.md");
  });
});
