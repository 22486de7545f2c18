import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Ledger, type LedgerEntry, TECHNIQUES } from "./ledger.js";

const cost = { forward: 100, frozen: 60, activationGradient: 30, weightGradient: 10, uncounted: 0 };

describe("Ledger", () => {
  test("sums by model and technique", () => {
    const ledger = new Ledger();
    ledger.add({ model: "a", technique: "selection", macs: 5, seconds: 1, count: 2 });
    ledger.add({ model: "a", technique: "selection", macs: 7, seconds: 2, count: 3 });
    ledger.add({ model: "b", technique: "predictor", macs: 11, seconds: 0, count: 1 });
    expect(ledger.entries).toHaveLength(2);
    expect(ledger.total({ model: "a" })).toEqual({ macs: 12, seconds: 3, count: 5 });
    expect(ledger.total()).toEqual({ macs: 23, seconds: 3, count: 6 });
    expect(ledger.byTechnique().predictor.macs).toBe(11);
    expect(ledger.byTechnique("a").predictor.macs).toBe(0);
    expect([...ledger.byModel()].map(([model, { macs }]) => [model, macs])).toEqual([
      ["a", 12],
      ["b", 11],
    ]);
  });

  test("splits steps in three, by what each multiplies; what was cached of frozen layers costs nothing", () => {
    const ledger = new Ledger();
    ledger.addSteps("a", cost, { images: 10, cached: 5, seconds: 22 });
    const { forward, activationGradient, weightGradient } = ledger.byTechnique();
    expect(forward).toEqual({ macs: 10 * 100 - 5 * 60, seconds: 14, count: 10 });
    expect(activationGradient).toEqual({ macs: 300, seconds: 6, count: 10 });
    expect(weightGradient).toEqual({ macs: 100, seconds: 2, count: 10 });
  });

  test("the time of a step without multiplications is not lost", () => {
    const ledger = new Ledger();
    ledger.addSteps(
      "a",
      { ...cost, forward: 0, frozen: 0, activationGradient: 0, weightGradient: 0 },
      { images: 1, seconds: 1 },
    );
    expect(ledger.total().seconds).toBe(1);
  });

  test("refuses amounts that are negative or not numbers, and entries from elsewhere", () => {
    const bad = { model: "a", technique: "forward", macs: -1, seconds: 0, count: 0 } as const;
    expect(() => new Ledger().add(bad)).toThrow(/ledger: costs of 0 or more/);
    expect(() => new Ledger().add({ ...bad, macs: NaN })).toThrow(/ledger/);
    for (const json of [{}, [bad], [{ ...bad, macs: 0, technique: "magic" }], null])
      expect(() => Ledger.fromJSON(json)).toThrow(expect.objectContaining({ code: "data.invalid" }));
  });

  const entry = fc.record({
    model: fc.constantFrom("a", "b", "c"),
    technique: fc.constantFrom(...TECHNIQUES),
    macs: fc.nat(1000),
    seconds: fc.nat(1000),
    count: fc.nat(1000),
  });

  test("totals do not depend on how entries were added up, merged or stored", () => {
    fc.assert(
      fc.property(fc.array(entry), fc.array(entry), (first: LedgerEntry[], second: LedgerEntry[]) => {
        const whole = new Ledger([...first, ...second]);
        const merged = new Ledger(first).merge(new Ledger(second));
        const stored = Ledger.fromJSON(JSON.parse(JSON.stringify(whole)));
        const macs = [...first, ...second].reduce((sum, each) => sum + each.macs, 0);
        expect(merged.byTechnique()).toEqual(whole.byTechnique());
        expect(stored.entries).toEqual(whole.entries);
        expect(TECHNIQUES.reduce((sum, technique) => sum + whole.total({ technique }).macs, 0)).toBe(macs);
      }),
      { numRuns: 50 },
    );
  });
});
