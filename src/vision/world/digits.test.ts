import { gunzipSync, gzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isLimberError } from "../../base/index.js";
import { digitsByClass, loadDigits, openDigits, readDigits, splitOf, SPLITS } from "./digits.js";

const packed = readFileSync(new URL("../../../assets/digits.bin.gz", import.meta.url));

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    if (isLimberError(error)) return error.code;
    throw error;
  }
  return undefined;
}

describe("embedded digits", () => {
  it("are 10,000 with ink in every one", () => {
    const { labels, pixels } = loadDigits();
    expect(labels.length).toBe(10_000);
    expect(pixels.length).toBe(10_000 * 784);
    const empty = labels.findIndex(
      (_, digit) => !pixels.subarray(digit * 784, (digit + 1) * 784).some((grey) => grey > 150),
    );
    expect(empty).toBe(-1);
  });

  it("are split 7000, 1000, 2000, every digit into one split and every class into each", () => {
    const digits = loadDigits();
    const seen = new Set<number>();
    const counts = SPLITS.map((split) => {
      const byClass = digitsByClass(digits, split);
      expect(Math.min(...byClass.map((members) => members.length))).toBeGreaterThan(80);
      const own = byClass.every((members, label) =>
        members.every((digit) => digits.labels[digit] === label && splitOf(digit) === split),
      );
      expect(own).toBe(true);
      byClass.flat().forEach((digit) => seen.add(digit));
      return byClass.flat().length;
    });
    expect(counts).toEqual([7000, 1000, 2000]);
    expect(seen.size).toBe(10_000);
  });

  it("never show the same picture in two splits", () => {
    const { labels, pixels } = loadDigits();
    const pictures = new Set(
      Array.from(labels, (_, i) => Buffer.from(pixels.subarray(i * 784, (i + 1) * 784)).toString("latin1")),
    );
    expect(pictures.size).toBe(10_000);
  });

  it("refuses files that are cut short, changed, or something else", () => {
    const file = gunzipSync(packed);
    const changed = Buffer.from(file);
    changed[5000]! ^= 1;
    expect(codeOf(() => readDigits(packed.subarray(0, 1000)))).toBe("data.invalid");
    expect(codeOf(() => readDigits(gzipSync(changed, { level: 1 })))).toBe("data.invalid");
    expect(codeOf(() => readDigits(gzipSync(file.subarray(0, 30_000))))).toBe("data.invalid");
    expect(codeOf(() => readDigits(gzipSync(Buffer.from("something else"))))).toBe("data.invalid");
  });

  it("name the command that makes them when they are missing", () => {
    expect(codeOf(() => openDigits("no-such-folder/digits.bin.gz"))).toBe("io.not-found");
    expect(() => openDigits("no-such-folder/digits.bin.gz")).toThrow("node scripts/pack-digits.mjs");
  });
});
