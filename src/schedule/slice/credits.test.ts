import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "../../base/index.js";
import { Credits } from "./credits.js";
import { raiseToFloor } from "./shares.js";

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `app${i}`);

/** Steps of random lengths on a virtual clock until so much time has passed; gives who had the device, step by step. */
function runFor(credits: Credits, totalMs: number, lengthOf: (name: string) => number): string[] {
  const holders: string[] = [];
  for (let ms = 0; ms < totalMs;) {
    const name = credits.next()!;
    const length = lengthOf(name);
    credits.charge(name, length);
    holders.push(name);
    ms += length;
  }
  return holders;
}

function ready(credits: Credits, shares: Readonly<Record<string, number>>): Credits {
  for (const [name, share] of Object.entries(shares)) {
    credits.open(name, share);
    credits.setReady(name, true);
  }
  return credits;
}

describe("shares with a floor", () => {
  it("add up to 1, none is below the floor, and those above it are as asked for, in proportion", () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(share, { minLength: 1, maxLength: 30 }), share, (asked, floor) => {
        const kept = raiseToFloor(asked, floor);
        const least = Math.min(floor, 1 / asked.length);
        expect(kept.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
        expect(Math.min(...kept)).toBeGreaterThanOrEqual(least - 1e-12);
        const above = asked.flatMap((value, i) => (kept[i]! > least + 1e-9 && value > 1e-6 ? [kept[i]! / value] : []));
        for (const ratio of above) expect(ratio / above[0]!).toBeCloseTo(1, 6);
      }),
    );
  });

  it("are equal where nothing is asked for", () => {
    expect(raiseToFloor([0, 0], 0.05)).toEqual([0.5, 0.5]);
    expect(raiseToFloor([], 0.05)).toEqual([]);
  });

  it("keep 0.05 by default", () => {
    const credits = ready(new Credits(), { large: 0.98, small: 0.02 });
    expect([credits.shareOf("large"), credits.shareOf("small")]).toEqual([0.95, 0.05]);
  });
});

describe("Credits", () => {
  it("gives every app its share of the time to within 2 %, whatever the lengths of steps", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 6 }), (seed, count) => {
        const random = new Random(seed);
        const credits = new Credits();
        // some steps are longer than many rounds
        const longest = new Map(names(count).map((name) => [name, 3 ** random.uniform(0, 5)]));
        for (const name of names(count)) {
          credits.open(name, random.uniform(0, 1));
          credits.setReady(name, true);
        }
        runFor(credits, 50_000, (name) => random.uniform(0.01, longest.get(name)!));
        const total = names(count).reduce((sum, name) => sum + credits.usedMs(name), 0);
        for (const name of names(count)) {
          const share = credits.usedMs(name) / total;
          expect(Math.abs(share - credits.shareOf(name))).toBeLessThan(0.02 * Math.max(credits.shareOf(name), 0.25));
        }
      }),
      { numRuns: 20 },
    );
  });

  it("keeps the device with one app until its credit is used up", () => {
    const credits = ready(new Credits({ quantumMs: 100 }), { a: 0.6, b: 0.4 });
    expect(runFor(credits, 200, () => 20).join("")).toBe("aaabbbbaaa");
  });

  it("carries what a step takes beyond the credit over as a debt", () => {
    const credits = ready(new Credits({ quantumMs: 100 }), { a: 0.5, b: 0.5 });
    const holders = runFor(credits, 390, (name) => (name === "a" ? 140 : 10));
    expect(holders.join("")).toBe(`a${"b".repeat(15)}a`);
  });

  it("gives what an idle app does not use to the others in proportion to their shares", () => {
    const credits = ready(new Credits(), { a: 0.5, idle: 0.3, c: 0.2 });
    credits.setReady("idle", false);
    runFor(credits, 70_000, () => 7);
    expect(credits.usedMs("a") / credits.usedMs("c")).toBeCloseTo(2.5, 2);
  });

  it("does not let an idle app save credit up", () => {
    const credits = ready(new Credits({ quantumMs: 10 }), { a: 0.5, late: 0.5 });
    credits.setReady("late", false);
    runFor(credits, 10_000, () => 1);
    credits.setReady("late", true);
    runFor(credits, 1000, () => 1);
    expect(credits.usedMs("late")).toBeGreaterThan(490);
    expect(credits.usedMs("late")).toBeLessThan(510);
  });

  it("charges predictions to the share of their app, while others wait", () => {
    const credits = ready(new Credits(), { a: 0.5, b: 0.5 });
    const trained = { a: 0, b: 0 };
    for (let ms = 0; ms < 20_000; ms += 10) {
      const name = credits.next() as "a" | "b";
      credits.charge(name, 10);
      trained[name] += 10;
      credits.charge("a", 2); // a prediction beside each step
    }
    expect(credits.usedMs("a") / credits.usedMs("b")).toBeCloseTo(1, 1);
    expect(trained.a).toBeCloseTo(10_000 - 2000, -2);
  });

  it("charges nothing for what is used while nobody else waits", () => {
    const credits = ready(new Credits(), { a: 0.5, b: 0.5 });
    credits.setReady("b", false);
    runFor(credits, 50_000, () => 10);
    credits.setReady("a", false);
    credits.charge("b", 10_000);
    for (const name of ["a", "b"]) credits.setReady(name, true);
    const before = credits.usedMs("a");
    runFor(credits, 1000, () => 10);
    expect(credits.usedMs("a") - before).toBeGreaterThan(440);
    expect(credits.usedMs("a") - before).toBeLessThan(560);
  });

  it("goes by other shares from the next round on", () => {
    const credits = ready(new Credits(), { a: 0.9, b: 0.1 });
    runFor(credits, 9_950, () => 5);
    const before = credits.usedMs("a");
    credits.setShares([
      ["a", 0.1],
      ["b", 0.9],
    ]);
    runFor(credits, 10_000, () => 5);
    expect((credits.usedMs("a") - before) / 10_000).toBeCloseTo(0.1, 1);
  });

  it("lets apps come and go", () => {
    const credits = ready(new Credits(), { a: 0.5, b: 0.5 });
    expect(credits.next()).toBe("a");
    credits.close("a");
    expect(credits.next()).toBe("b");
    ready(credits, { a: 1 });
    runFor(credits, 15_000, () => 10);
    expect(credits.usedMs("a") / credits.usedMs("b")).toBeCloseTo(2, 1);
    credits.close("a");
    credits.close("b");
    expect(credits.next()).toBeUndefined();
  });

  it("finds the next of many apps at once, however deep their debts", () => {
    const credits = new Credits({ quantumMs: 10 });
    for (const name of names(500)) {
      credits.open(name, 0.0001);
      credits.setReady(name, true);
      credits.charge(name, 1e6);
    }
    expect(credits.next()).toBe("app0");
  });

  it("refuses shares, quanta and names that are none", () => {
    const credits = ready(new Credits(), { a: 0.5 });
    const refused = [
      () => credits.open("a", 0.1),
      () => credits.open("b", NaN),
      () => credits.open("b", -0.1),
      () => credits.setShares([["c", 0.5]]),
      () => credits.setShares([["a", 1.5]]),
      () => new Credits({ quantumMs: 0 }),
      () => new Credits({ floorShare: 2 }),
    ];
    for (const call of refused) expect(call).toThrow(expect.objectContaining({ code: "config.invalid" }));
    expect(credits.shareOf("a")).toBe(1);
  });
});
