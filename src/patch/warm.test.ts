import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tensorOf } from "../base/index.js";
import { chooseStart, describeStart, type PatchTensors, type StartCandidate } from "./warm.js";

const patch = (value: number, ...more: [string, number][]): PatchTensors =>
  new Map(
    [["patch.2.up", value] as const, ...more].map(([name, each]) => [name, tensorOf("float32", [2, 1], [each, each])]),
  );
const valueOf = (tensors: PatchTensors, name = "patch.2.up"): number => Number(tensors.get(name)!.data[0]);

/** The loss is the distance from where the patch should be. */
const options = { probe: async (tensors: PatchTensors) => Math.abs(valueOf(tensors) - 4) };
const parent = (value: number, similarity: number, from = "a"): StartCandidate => ({
  source: "parent",
  from,
  similarity,
  tensors: patch(value),
});

describe("chooseStart", () => {
  test("takes the lowest probe loss, and tells what it looked at", async () => {
    const own: StartCandidate = { source: "own", tensors: patch(1) };
    const library: StartCandidate = { source: "library", from: "fog-3", tensors: patch(3) };
    const start = await chooseStart(patch(0), [own, library, parent(9, 0.9)], options);
    expect(start).toMatchObject({ source: "library", from: "fog-3", loss: 1 });
    expect(start.tried).toEqual([
      { source: "zero", loss: 4 },
      { source: "own", loss: 3 },
      { source: "library", from: "fog-3", loss: 1 },
      { source: "parent", from: "a", loss: 5 },
    ]);
    expect(describeStart(start)).toBe("library fog-3: loss 1.000, a new patch 4.000");
  });

  test("prefers what the model has learnt before where its loss is within the allowance, that of a like domain first", async () => {
    const own: StartCandidate = { source: "own", tensors: patch(2.9) };
    const library: StartCandidate = { source: "library", from: "fog", tensors: patch(2.85) };
    const sourceOf = async (allowance: number, ...past: StartCandidate[]) =>
      (await chooseStart(patch(0), [parent(3, 0.9), ...past], { ...options, allowance })).source;
    expect(await sourceOf(0.05, own)).toBe("parent"); // losses of 1 and 1.1
    expect(await sourceOf(0.2, own)).toBe("own");
    expect(await sourceOf(0.2, own, library)).toBe("library");
    expect(await sourceOf(0.12, own, library)).toBe("own");
  });

  test("starts at nothing where nothing is better, also at equal losses", async () => {
    const start = await chooseStart(patch(0), [parent(9, 0.9), parent(8, 0.9, "b")], options);
    expect(start).toMatchObject({ source: "zero", loss: 4 });
    expect(describeStart(start)).toBe("zero: no other start has a lower loss than 4.000");
    expect((await chooseStart(patch(0), [], options)).tried).toHaveLength(1);
  });

  test("does not try parents that are too unlike, nor patches of another shape", async () => {
    const other = new Map([["patch.2.up", tensorOf("float32", [3], [4, 4, 4])]]);
    const candidates: StartCandidate[] = [
      parent(4, 0.49),
      parent(4, NaN),
      { source: "own", tensors: other },
      { source: "own", tensors: patch(4, ["head.bias", 1]) },
      { source: "library", tensors: new Map() },
    ];
    const { source, tried } = await chooseStart(patch(0), candidates, options);
    expect(source).toBe("zero");
    expect(tried.slice(1).map(({ refused }) => refused)).toEqual(["unlike", "unlike", "shapes", "shapes", "shapes"]);
    expect((await chooseStart(patch(0), [parent(4, 0.49)], { ...options, threshold: 0.4 })).source).toBe("parent");
  });

  test("a patch of fewer groups starts those it has", async () => {
    const start = await chooseStart(patch(0, ["patch.1.up", 7]), [parent(3, 0.8)], options);
    expect([valueOf(start.tensors), valueOf(start.tensors, "patch.1.up")]).toEqual([3, 7]);
  });

  test("a loss that is not finite is refused", async () => {
    const probe = async (tensors: PatchTensors) => (valueOf(tensors) === 1 ? NaN : 1);
    const start = await chooseStart(patch(0), [{ source: "own", tensors: patch(1) }], { probe });
    expect(start).toMatchObject({ source: "zero", tried: [{ loss: 1 }, { source: "own", refused: "not finite" }] });
    const broken = async (tensors: PatchTensors) => (valueOf(tensors) === 0 ? NaN : 1);
    expect((await chooseStart(patch(0), [{ source: "own", tensors: patch(1) }], { probe: broken })).source).toBe("own");
  });

  test("mixes the two parents most alike, by their likeness", async () => {
    const parents = [parent(1, 0.6, "a"), parent(5, 0.9, "b"), parent(100, 0.55, "c")];
    const start = await chooseStart(patch(0), parents, { ...options, mix: true });
    expect(start).toMatchObject({ source: "mix", from: "b+a" });
    expect(valueOf(start.tensors)).toBeCloseTo(0.6 * 5 + 0.4 * 1, 6);
    expect(start.similarity).toBeCloseTo(0.6 * 0.9 + 0.4 * 0.6, 12);
    const single = await chooseStart(patch(0), parents.slice(0, 1), { ...options, mix: true });
    expect(single.tried.map(({ source }) => source)).toEqual(["zero", "parent"]);
  });

  test("is never worse than nothing", async () => {
    const value = fc.integer({ min: -10, max: 10 });
    await fc.assert(
      fc.asyncProperty(
        value,
        fc.array(fc.tuple(value, fc.double({ min: 0, max: 1, noNaN: true }))),
        async (zero, list) => {
          const candidates = list.map(([each, similarity], i) => parent(each, similarity, `${i}`));
          const { loss, tried } = await chooseStart(patch(zero), candidates, { ...options, mix: true });
          expect(loss).toBe(Math.min(...tried.flatMap((each) => each.loss ?? [])));
          expect(loss).toBeLessThanOrEqual(Math.abs(zero - 4));
        },
      ),
      { numRuns: 40 },
    );
  });
});
