import { expect, test } from "vitest";
import { squares, TINY_PREPROCESSING, tinyNetwork } from "../../../test/helpers/tiny.js";
import { forwardMacs } from "../../patch/index.js";
import { nameShift, parsePreprocessing, parseShift, preprocessingFromMetadata } from "../../vision/index.js";
import { PATCH_CONTESTANTS } from "./contestants.js";
import { learnCounter } from "./count.js";
import { benchPatch } from "./patch.js";
import { macsOf } from "./rows.js";
import { openDataScene } from "./scene.js";

const scene = openDataScene(
  { name: "squares", classes: ["0", "1", "2", "3"], domains: [squares("clear", 48, { seed: 4 }), squares("dark", 64)] },
  { name: "squares", models: [{ model: tinyNetwork(), preprocessing: TINY_PREPROCESSING }], testImages: 8 },
);

/** Both in the full suite; with one there is none to leave out. */
const SHIFTS = ["speckle_noise 5", "saturate 5"].slice(process.env.LIMBER_FULL ? 0 : 1).map(parseShift);

test("how many patches drifts take is learnt from held-out corruptions, and asked and booked at the next drift", async () => {
  const { model, needs, unseen } = await learnCounter(scene, {
    ...{ shifts: SHIFTS, pool: 16, held: 16, epochs: 1, threads: 1 },
  });
  expect(needs.map(({ drift }) => drift)).toEqual(SHIFTS.map(nameShift));
  for (const { scores, macs, count } of needs) {
    expect(scores).toHaveLength(macs.length + 1);
    expect(macs).toEqual(macs.toSorted((a, b) => a - b)); // a patch more takes gradients further down
    expect(scores[count]).toBeGreaterThanOrEqual(Math.max(...scores.slice(1)) - 0.01 - 1e-9);
  }
  expect(unseen.samples).toBe(SHIFTS.length > 1 ? SHIFTS.length : 0);
  const { rows } = await benchPatch({
    ...{ scenes: [{ ...scene, counter: model }], contestants: PATCH_CONTESTANTS.filter(({ kind }) => kind === "ours") },
    ...{ seeds: 1, threads: 1, pool: 16, held: 8, testImages: 8, epochs: 1, batchSize: 8, patches: 1 },
  });
  const looked = forwardMacs(model, parsePreprocessing(preprocessingFromMetadata(model.metadata), "counter"));
  for (const row of rows) {
    expect(row.macs.predictor).toBe(16 * looked);
    expect(macsOf(row)).toBeGreaterThan(row.macs.predictor);
    expect([1, 2, 3]).toContain(row.patches);
  }
}, 300_000);
