import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readNpzFile } from "../../../test/helpers/npz.js";
import { CategoryBank } from "./category-bank.js";

const folder = new URL("../../../test/fixtures/methods/", import.meta.url);

test("holds what the bank of RoTTA's authors holds, in its order and with its ages, at every update of their run", () => {
  const { rotta: settings } = JSON.parse(readFileSync(new URL("methods.json", folder), "utf8")) as {
    readonly rotta: { readonly capacity: number; readonly updates: number };
  };
  const golden = readNpzFile(new URL("rotta.npz", folder).pathname);
  const { data: logits, dims } = golden.get("outputs")!;
  const data = logits as Float64Array;
  const [steps, batch, classes] = dims as [number, number, number];
  const bank = new CategoryBank<number>({ capacity: settings.capacity, classes });
  let dropped = 0;
  for (let sample = 0, update = 0; sample < steps * batch; sample++) {
    const exponentials = [...data.subarray(sample * classes, (sample + 1) * classes)].map(Math.exp);
    const sum = exponentials.reduce((a, b) => a + b);
    const p = exponentials.map((value) => value / sum);
    const uncertainty = p.reduce((total, value) => total - value * Math.log(value + 1e-6), 0);
    if (!bank.add(sample, p.indexOf(Math.max(...p)), uncertainty)) dropped++;
    if ((sample + 1) % settings.capacity > 0) continue;
    expect(bank.items().map((item) => item.sample)).toEqual([...(golden.get(`bank.${update}`)!.data as Int32Array)]);
    expect(bank.items().map((item) => item.age)).toEqual([...(golden.get(`ages.${update}`)!.data as Int32Array)]);
    update++;
  }
  expect(dropped).toBeGreaterThan(0); // the run has samples that were not worth keeping
});

const offer = fc.record({
  label: fc.integer({ min: 0, max: 2 }),
  uncertainty: fc.double({ min: 0, max: 1.09, noNaN: true }),
});

describe("a bank", () => {
  test("never holds more than its capacity, nor more of a class than its share rounded up", () => {
    fc.assert(
      fc.property(fc.array(offer, { maxLength: 80 }), fc.integer({ min: 1, max: 10 }), (offers, capacity) => {
        const bank = new CategoryBank<number>({ capacity, classes: 3 });
        for (const { label, uncertainty } of offers) {
          bank.add(label, label, uncertainty);
          const counts = [0, 1, 2].map((c) => bank.items().filter(({ sample }) => sample === c).length);
          expect(Math.max(...counts)).toBeLessThanOrEqual(Math.ceil(capacity / 3));
          expect(bank.items().length).toBeLessThanOrEqual(capacity);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("lets the last of equal scores go, and keeps all where the new sample is the worst", () => {
    const bank = new CategoryBank<string>({ capacity: 2, classes: 2, timeWeight: 0 });
    for (const sample of ["a", "b"]) expect(bank.add(sample, 0, 0.5)).toBe(sample === "a");
    expect(bank.add("c", 1, 0.2)).toBe(true);
    expect(bank.add("sure", 0, 0.1)).toBe(true);
    expect(bank.items().map(({ sample }) => sample)).toEqual(["sure", "c"]);
    bank.clear();
    expect(bank.items()).toEqual([]);
    const tied = new CategoryBank<string>({ capacity: 4, classes: 2, timeWeight: 0 });
    for (const sample of ["first", "second", "better"]) tied.add(sample, 0, sample === "better" ? 0.1 : 0.5);
    expect(tied.items().map(({ sample }) => sample)).toEqual(["first", "better"]);
  });

  test("lets the first of equal scores go, and rounds shares down, where asked", () => {
    const tied = new CategoryBank<string>({ capacity: 4, classes: 2, timeWeight: 0, ties: "first" });
    for (const sample of ["first", "second", "better"]) tied.add(sample, 0, sample === "better" ? 0.1 : 0.5);
    expect(tied.items().map(({ sample }) => sample)).toEqual(["second", "better"]);
    const held = (share: "fraction" | "whole"): number => {
      const bank = new CategoryBank<number>({ capacity: 5, classes: 2, share });
      for (let sample = 0; sample < 5; sample++) bank.add(sample, 0, 0);
      return bank.items().length;
    };
    expect([held("fraction"), held("whole")]).toEqual([3, 2]);
  });

  test("that is full makes room in its largest classes", () => {
    const bank = new CategoryBank<string>({ capacity: 3, classes: 2 });
    for (const [sample, label] of [
      ["a", 0],
      ["b", 0],
      ["c", 1],
    ] as const)
      bank.add(sample, label, 0);
    expect(bank.add("d", 1, 0)).toBe(true);
    expect(bank.items().map(({ sample, age }) => [sample, age])).toEqual([
      ["b", 3],
      ["c", 2],
      ["d", 1],
    ]);
  });
});
