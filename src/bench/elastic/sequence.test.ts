import { describe, expect, test } from "vitest";
import { squares } from "../../../test/helpers/tiny.js";
import { isLimberError } from "../../base/index.js";
import { layOutSequence } from "./sequence.js";

const dataset = { name: "drifts", classes: ["0"], domains: ["a", "b", "c", "d"].map((name) => squares(name, 12)) };
const OPTIONS = { domains: 9, rounds: 3, images: 2, testImages: 2, seed: 1 };

describe("layOutSequence", () => {
  const stays = layOutSequence(dataset, OPTIONS);

  test("meets as many domains as often as asked, in an order of its own each round", () => {
    expect(stays.map(({ round }) => round)).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2]);
    const rounds = [0, 3, 6].map((from) => stays.slice(from, from + 3).map(({ domain }) => domain));
    for (const round of rounds) expect([...round].sort()).toEqual(["a", "b", "c"]);
    const orderOf = (seed: number): string =>
      layOutSequence(dataset, { ...OPTIONS, seed })
        .map(({ domain }) => domain)
        .join("");
    expect(orderOf(1)).toBe(rounds.flat().join(""));
    expect(new Set([1, 2, 3, 4].map(orderOf)).size).toBeGreaterThan(1);
  });

  test("shows no image twice, neither to adapt to nor to measure on", () => {
    const shown = stays.flatMap(({ arriving, test: measured }) =>
      [arriving, measured].flatMap((domain) => Array.from({ length: domain.samples }, (_, i) => domain.pathOf(i))),
    );
    expect(shown.length).toBe(9 * 4);
    expect(new Set(shown).size).toBe(shown.length);
  });

  test("keeps what is measured on apart from what is adapted to where a domain has to repeat its images", () => {
    const repeating = layOutSequence(dataset, { ...OPTIONS, domains: 30, images: 4, testImages: 3 });
    for (const { name } of dataset.domains) {
      const shown = (part: "arriving" | "test"): string[] =>
        repeating.flatMap(({ domain, [part]: images }) =>
          domain === name ? Array.from({ length: images.samples }, (_, i) => images.pathOf(i)) : [],
        );
      const [arriving, measured] = [new Set(shown("arriving")), new Set(shown("test"))];
      expect(arriving.size).toBeLessThan(shown("arriving").length);
      expect([...measured].filter((path) => arriving.has(path))).toEqual([]);
    }
  });

  test("refuses a domain without enough images for one stay", () => {
    try {
      layOutSequence(dataset, { ...OPTIONS, images: 11 });
      expect.unreachable();
    } catch (error) {
      expect(isLimberError(error, "config.invalid")).toBe(true);
      expect(String(error)).toContain("13 images, 11 to adapt to and 2 to measure on, got 12");
    }
  });
});
