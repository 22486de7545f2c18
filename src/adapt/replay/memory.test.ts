import { describe, expect, test } from "vitest";
import { readNpzFile } from "../../../test/helpers/npz.js";
import { Random } from "../../base/index.js";
import { type Labelled, ReplayMemory } from "./memory.js";
import { Reservoir } from "./reservoir.js";

describe("a reservoir", () => {
  test("takes the places that mammoth's takes for the same draws", () => {
    const golden = readNpzFile(new URL("../../../test/fixtures/methods/replay.npz", import.meta.url).pathname);
    const [draws, places] = ["draws", "places"].map((name) => [...(golden.get(name)!.data as Int32Array)]) as [
      number[],
      number[],
    ];
    const limits: number[] = [];
    const recorded = { int: (_: number, high: number) => (limits.push(high), draws.shift()!) };
    const reservoir = new Reservoir<number>(7, recorded);
    expect(places.map((_, element) => reservoir.add(element) ?? -1)).toEqual(places);
    expect(draws).toEqual([]);
    expect(limits).toEqual(Array.from({ length: 53 }, (_, i) => i + 8));
    expect(reservoir.items()).toEqual(Array.from({ length: 7 }, (_, place) => places.lastIndexOf(place)));
  });

  test("holds each element of a stream equally often", () => {
    const counts = Array.from({ length: 20 }, () => 0);
    const random = new Random(5);
    for (let trial = 0; trial < 4000; trial++) {
      const reservoir = new Reservoir<number>(5, random);
      for (let element = 0; element < 20; element++) reservoir.add(element);
      for (const element of reservoir.items()) counts[element]!++;
    }
    // 1000 each; a deviation is √(4000 · ¼ · ¾) ≈ 27.
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(4 * 27);
  });
});

/** Images of one pixel whose level is their label. */
const batchOf = (...levels: number[]): Labelled => ({
  images: { dtype: "float32", dims: [levels.length, 1, 1, 1], data: Float32Array.from(levels) },
  labels: { dtype: "int64", dims: [levels.length], data: BigInt64Array.from(levels, BigInt) },
});

describe("a replay memory", () => {
  const drawn = (memory: ReplayMemory, count: number): number[] => {
    const { images, labels } = memory.draw(count);
    expect([...images.data].map(Number)).toEqual([...labels.data].map(Number));
    expect(images.dims).toEqual([count, 1, 1, 1]);
    return [...images.data].map(Number).sort((a, b) => a - b);
  };

  test("replays a domain when it has ended, as many images of each", () => {
    const memory = new ReplayMemory(2, new Random(1));
    memory.add(batchOf(1, 2));
    expect(memory.isEmpty).toBe(true);
    memory.endDomain();
    memory.add(batchOf(10, 11, 12, 13));
    expect(drawn(memory, 2)).toEqual([1, 2]);
    memory.endDomain();
    const four = drawn(memory, 4);
    expect(four.filter((level) => level >= 10)).toHaveLength(2);
    memory.clear();
    expect(memory.isEmpty).toBe(true);
  });

  test("keeps the first images of each domain where asked, a sample otherwise", () => {
    const keptBy = (keeps: "first" | "sample"): number[] => {
      const memory = new ReplayMemory(2, new Random(1), keeps);
      for (const start of [1, 11]) {
        memory.add(batchOf(start));
        memory.add(batchOf(...Array.from({ length: 8 }, (_, i) => start + 1 + i)));
        memory.endDomain();
      }
      return drawn(memory, 4);
    };
    expect(keptBy("first")).toEqual([1, 2, 11, 12]);
    expect(keptBy("sample")).not.toEqual([1, 2, 11, 12]);
  });

  test("repeats images only where there are too few", () => {
    const memory = new ReplayMemory(3, new Random(2));
    memory.add(batchOf(1, 2, 3));
    memory.endDomain();
    for (let trial = 0; trial < 10; trial++) expect(drawn(memory, 3)).toEqual([1, 2, 3]);
    const seven = drawn(memory, 7);
    for (const level of [1, 2, 3]) expect(seven.filter((other) => other === level).length).toBeGreaterThanOrEqual(2);
  });

  test("keeps the label of every place of a map", () => {
    const memory = new ReplayMemory(1, new Random(3));
    const labels = { dtype: "int64", dims: [1, 2, 2], data: BigInt64Array.of(1n, 2n, 3n, 4n) } as const;
    memory.add({ images: { dtype: "float32", dims: [1, 1, 2, 2], data: new Float32Array(4) }, labels });
    memory.endDomain();
    expect(memory.draw(1).labels).toEqual(labels);
  });
});
