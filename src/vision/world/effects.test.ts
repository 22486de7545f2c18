import { describe, expect, it } from "vitest";
import { Random } from "../../base/index.js";
import { applyEffect } from "./effects.js";
import type { Effect } from "./effects.js";
import { createField } from "./field.js";
import type { Field } from "./field.js";

/** A grey ramp from left to right. */
function rampField(size: number): Field {
  const field = createField(size);
  field.data.forEach((_, i) => (field.data[i] = (Math.floor(i / 3) % size) / (size - 1)));
  return field;
}

function after(effect: Effect, field = rampField(64), seed = 1): Float32Array {
  applyEffect(field, effect, new Random(seed));
  return field.data;
}

const meanOf = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviationOf = (values: Float32Array): number => {
  const mean = meanOf(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
};

describe("effects", () => {
  it("fog moves every pixel towards the airlight, more when denser", () => {
    const thin = after({ kind: "fog", density: [0.3, 0.3], colour: [0.8, 0.8, 0.8] });
    const dense = after({ kind: "fog", density: [2, 2], colour: [0.8, 0.8, 0.8] });
    const gap = (value: number): number => Math.abs(value - 0.8);
    const wrong = rampField(64).data.findIndex(
      (clear, i) => gap(thin[i]!) > gap(clear) + 1e-6 || gap(dense[i]!) > gap(thin[i]!) + 1e-6,
    );
    expect(wrong).toBe(-1);
  });

  it("contrast scales deviations from the mean and keeps the mean", () => {
    const clear = rampField(64).data;
    const faded = after({ kind: "contrast", factor: [0.25, 0.25], lift: [0, 0] });
    expect(meanOf(faded)).toBeCloseTo(meanOf(clear), 5);
    expect(deviationOf(faded) / deviationOf(clear)).toBeCloseTo(0.25, 5);
  });

  it("exposure multiplies by gain and colour, and the toe squares", () => {
    const half = after({ kind: "exposure", gain: [0.5, 0.5], toe: [0, 0], colour: [1, 0.5, 0] });
    const last = 3 * 63;
    expect([half[last], half[last + 1], half[last + 2]]).toEqual([0.5, 0.25, 0]);
    const bent = after({ kind: "exposure", gain: [0.5, 0.5], toe: [1, 1], colour: [1, 0.5, 0] });
    expect([bent[last], bent[last + 1], bent[last + 2]]).toEqual([0.25, 0.0625, 0]);
  });

  it("noise has the variance shot²·signal + read²", () => {
    const grey = createField(96);
    grey.data.fill(0.5);
    const noisy = after({ kind: "noise", shot: [0.1, 0.1], read: [0.05, 0.05], defects: 0 }, grey);
    expect(meanOf(noisy)).toBeCloseTo(0.5, 2);
    // 27,648 draws: the standard error of a deviation is 0.4 %.
    expect(deviationOf(noisy) / Math.sqrt(0.01 * 0.5 + 0.0025)).toBeCloseTo(1, 1.5);
  });

  it("noise defects turn whole pixels black or white at the stated rate", () => {
    const grey = createField(96);
    grey.data.fill(0.5);
    const data = after({ kind: "noise", shot: [0, 0], read: [0, 0], defects: 0.05 }, grey);
    const changed = data.filter((value) => value !== 0.5).length / data.length;
    expect(changed).toBeGreaterThan(0.035);
    expect(changed).toBeLessThan(0.06);
  });

  it.each([32, 48, 64, 96])("square snow covers what PatchLine's count covers, at %i pixels", (size) => {
    const [level, side] = [3000, Math.max(1, Math.round(size / 32))];
    let covered = 0;
    const pictures = 40;
    for (let seed = 0; seed < pictures; seed++) {
      const black = createField(size);
      applyEffect(black, { kind: "squares", level: [level, level], grey: 1 }, new Random(seed));
      covered += meanOf(black.data) / pictures;
    }
    // Squares stay inside of the picture, so its border is covered a little less: (S − a + 1)² places instead of S².
    const places = (size - side + 1) ** 2;
    const expected = 1 - (1 - 9 / 350 ** 2) ** level;
    expect(Math.abs(covered - expected)).toBeLessThan(0.012 + (0.1 * (size ** 2 - places)) / size ** 2);
  });

  it.each(["blur", "motion"] as const)("%s keeps a flat picture flat and softens an edge", (kind) => {
    const effect: Effect = kind === "blur" ? { kind, sigma: [1.2, 1.2] } : { kind, length: [5, 5] };
    const flat = createField(32);
    flat.data.fill(0.4);
    expect(after(effect, flat).every((value) => Math.abs(value - 0.4) < 1e-5)).toBe(true);
    const edge = createField(32);
    edge.data.forEach((_, i) => (edge.data[i] = Math.floor(i / 3) % 32 < 16 && i < 1536 ? 0 : 1));
    const before = deviationOf(edge.data);
    expect(deviationOf(after(effect, edge))).toBeLessThan(before);
  });

  it("glare and rain leave values that a picture can hold", () => {
    const effects: Effect[] = [
      { kind: "glare", strength: [0.9, 0.9], radius: [12, 12], veil: [0.2, 0.2], colour: [1, 1, 1] },
      { kind: "rain", drops: [60, 60], length: [8, 8], opacity: 0.6, veil: 0.2 },
    ];
    for (const effect of effects) {
      const data = after(effect);
      expect(Math.min(...data)).toBeGreaterThanOrEqual(0);
      expect(Number.isFinite(Math.max(...data))).toBe(true);
      expect(Buffer.from(data.buffer).equals(Buffer.from(rampField(64).data.buffer))).toBe(false);
    }
  });

  it("draws the same for the same seed and otherwise for another", () => {
    const effect: Effect = { kind: "fog", density: [0.5, 1.5], colour: [0.8, 0.8, 0.8] };
    const print = (seed: number): string => Buffer.from(after(effect, rampField(32), seed).buffer).toString("latin1");
    expect(print(5) === print(5)).toBe(true);
    expect(print(5) === print(6)).toBe(false);
  });
});
