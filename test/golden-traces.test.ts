import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { planMethod, bn, type Method, source, tent } from "../src/adapt/index.js";
import {
  buildStep,
  inferShapes,
  type Model,
  prepareModel,
  readModel,
  type ReferenceTensor,
} from "../src/graph/index.js";
import { Trainer } from "../src/run/node.js";
import { readNpzFile } from "./helpers/npz.js";
import { maxDifference, ReferenceTrainer } from "./helpers/parity.js";

const data = process.env.LIMBER_DATA;
const full = process.env.LIMBER_FULL !== undefined;
const BATCH = 16;
const STEPS = 20;
const SIZE = 3 * 32 * 32;
const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];
/** Steps in float64: enough to see every planted bug (the slowest shows 5e-7 at step 5). */
const EXACT_STEPS = full ? STEPS : 5;

interface Trace {
  readonly file: string;
  readonly method: Method;
  readonly options: Record<string, unknown>;
  /** Largest |Δlogit| in float32: at step 1, and over all steps. */
  readonly float32: readonly [number, number];
}
const TRACES: Trace[] = [
  { file: "source", method: source, options: {}, float32: [1e-3, 1e-3] },
  { file: "bn1", method: bn, options: {}, float32: [1e-3, 1e-3] },
  { file: "alpha0.9", method: bn, options: { sourceWeight: 0.9 }, float32: [1e-3, 1e-3] },
  { file: "alpha0.5", method: bn, options: { sourceWeight: 0.5 }, float32: [1e-3, 1e-3] },
  { file: "tent_adam", method: tent, options: { optimizer: "adam" }, float32: [1e-3, 5e-2] },
  { file: "tent_sgd", method: tent, options: { optimizer: "sgd" }, float32: [1e-3, 5e-3] },
];

describe.runIf(data)("golden traces of the official implementations (LIMBER_DATA)", () => {
  const folder = join(data ?? "", "golden_tta");
  const load = (): { model: Model; images: Float64Array } => {
    const model = prepareModel(
      readModel(readFileSync(join(data!, "cifar10_resnet/resnet20_cifar10_convshortcut.onnx"))),
    );
    const levels = readNpzFile(join(folder, "images.npz")).get("images")!.data as Uint8Array;
    const images = new Float64Array(levels.length);
    // The official runs hold x/255, mean and std as float32 and go on in float64 from there.
    for (let at = 0; at < levels.length; at++) {
      const [image, pixel, channel] = [Math.floor(at / SIZE), Math.floor((at % SIZE) / 3), at % 3];
      const normalized = (Math.fround(levels[at]! / 255) - Math.fround(MEAN[channel]!)) / Math.fround(STD[channel]!);
      images[image * SIZE + channel * (SIZE / 3) + pixel] = normalized;
    }
    return { model, images };
  };

  test.each(TRACES)("$file: float64 logits within 1e-9 at every step", ({ file, method, options }) => {
    const { model, images } = load();
    const golden = readNpzFile(join(folder, `${file}.npz`));
    const logits = golden.get("outputs")!.data as Float64Array;
    const plan = planMethod(method, model, BATCH, options);
    const trainer = new ReferenceTrainer(buildStep(inferShapes(model, { batch: BATCH }), plan));
    for (let step = 0; step < EXACT_STEPS; step++) {
      const batch: ReferenceTensor = {
        dtype: "float32",
        dims: [BATCH, 3, 32, 32],
        data: images.slice(step * BATCH * SIZE, (step + 1) * BATCH * SIZE),
      };
      const { prediction } = trainer.run(batch, { learningRate: plan.train?.learningRate ?? 0 });
      expect(
        maxDifference(prediction.data, logits.slice(step * BATCH * 10, (step + 1) * BATCH * 10)),
        `step ${step + 1}`,
      ).toBeLessThan(1e-9);
    }
    if (EXACT_STEPS < STEPS) return;
    const weights = trainer.weights();
    for (const [key, tensor] of golden) {
      if (!key.startsWith("param:")) continue;
      const name = key.slice("param:".length);
      if (weights.has(name))
        expect(maxDifference(weights.get(name)!.data, tensor.data as Float64Array), name).toBeLessThan(1e-9);
    }
  });

  test.each(TRACES)(
    "$file: ONNX Runtime within the float32 gates over 20 steps",
    async ({ file, method, options, float32 }) => {
      const { model, images } = load();
      const logits = readNpzFile(join(folder, `${file}.npz`)).get("outputs")!.data as Float64Array;
      const plan = planMethod(method, model, BATCH, options);
      await using trainer = Trainer.create(model, { ...plan, threads: 2 });
      for (let step = 0; step < STEPS; step++) {
        const pixels = Float32Array.from(images.subarray(step * BATCH * SIZE, (step + 1) * BATCH * SIZE));
        const learningRate = plan.train?.learningRate ?? 0;
        const { prediction } = await trainer.step(
          { images: { dtype: "float32", dims: [BATCH, 3, 32, 32], data: pixels } },
          { learningRate },
        );
        const distance = maxDifference(
          prediction.data as Float32Array,
          logits.slice(step * BATCH * 10, (step + 1) * BATCH * 10),
        );
        expect(distance, `step ${step + 1}`).toBeLessThan(float32[step === 0 ? 0 : 1]);
      }
    },
  );
});
