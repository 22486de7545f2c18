import { describe, expect, it } from "vitest";
import { LimberError, Random } from "../../base/index.js";
import { type SliceJob, TimeSlicer } from "./time-slicer.js";
import { VirtualClock } from "./virtual-clock.test-helper.js";

/** Steps that take virtual time. */
async function* stepsOf(
  clock: VirtualClock,
  count: number,
  lengthOf: () => number,
): AsyncGenerator<void, void, undefined> {
  for (let i = 0; i < count; i++) {
    await clock.sleep(lengthOf());
    yield;
  }
}

function setUp(shares: Readonly<Record<string, number>>, signal?: AbortSignal) {
  const clock = new VirtualClock();
  const slicer = new TimeSlicer({ clock, signal });
  for (const [name, share] of Object.entries(shares)) slicer.open(name, share);
  return { clock, slicer };
}

describe("TimeSlicer", () => {
  it("gives jobs that run side by side the shares of their apps to within 2 %", async () => {
    const shares = { a: 0.5, b: 0.3, c: 0.15, d: 0.05 };
    const abort = new AbortController();
    const { clock, slicer } = setUp(shares, abort.signal);
    const random = new Random(7);
    const jobs = Object.keys(shares).map((name) =>
      slicer.submit(
        name,
        stepsOf(clock, Infinity, () => random.uniform(1, 40)),
      ),
    );
    const stopped = clock.sleep(60_000).then(() => abort.abort());
    const ends = await clock.run(Promise.all([stopped, ...jobs]));
    for (const [name, share] of Object.entries(shares)) {
      const measured = slicer.usedMs(name) / clock.now();
      expect(Math.abs(measured - share) / share).toBeLessThan(0.02);
    }
    expect(ends.slice(1).map((end) => end && "outcome" in end && end.outcome)).toEqual(Array(4).fill("stopped"));
  });

  it("runs one step at a time, and says when each job is done", async () => {
    const { clock, slicer } = setUp({ a: 0.5, b: 0.5 });
    let underWay = 0;
    async function* alone(count: number): AsyncGenerator<void, void, undefined> {
      for (let i = 0; i < count; i++) {
        expect(++underWay).toBe(1);
        await clock.sleep(10);
        underWay--;
        yield;
      }
    }
    const ends = Promise.all([
      slicer.submit("a", alone(3)),
      slicer.submit("a", alone(2)),
      slicer.submit("b", alone(4)),
    ]);
    expect(await clock.run(ends)).toEqual([
      { outcome: "done", steps: 3, usedMs: 30 },
      { outcome: "done", steps: 2, usedMs: 20 },
      { outcome: "done", steps: 4, usedMs: 40 },
    ]);
    expect(clock.now()).toBe(90);
  });

  it("takes out a job that fails, reports it, and goes on with the others", async () => {
    const { clock, slicer } = setUp({ a: 0.5, b: 0.5 });
    async function* failing(error: Error): AsyncGenerator<void, void, undefined> {
      await clock.sleep(5);
      yield;
      throw error;
    }
    const typed = new LimberError("train.non-finite", "loss: finite, got NaN");
    const [first, second, third, other] = await clock.run(
      Promise.all([
        slicer.submit("a", failing(typed)),
        slicer.submit("a", failing(new Error("boom"))),
        slicer.submit(
          "a",
          stepsOf(clock, 2, () => 5),
        ),
        slicer.submit(
          "b",
          stepsOf(clock, 10, () => 5),
        ),
      ]),
    );
    expect(first).toEqual({ outcome: "failed", steps: 1, usedMs: 5, error: typed });
    expect(second.error).toMatchObject({ code: "run.failed", message: expect.stringContaining("boom") as string });
    expect([third.outcome, other.outcome]).toEqual(["done", "done"]);
  });

  it("starts predictions at once, and no step before those that have begun are answered", async () => {
    const { clock, slicer } = setUp({ a: 0.5, b: 0.5 });
    const starts: number[] = [];
    async function* train(): AsyncGenerator<void, void, undefined> {
      for (let i = 0; i < 3; i++) {
        starts.push(clock.now());
        await clock.sleep(10);
        yield;
      }
    }
    const serve = async (): Promise<string> => {
      await clock.sleep(4);
      const answer = slicer.serve("b", async () => {
        const at = clock.now();
        await clock.sleep(9);
        return `${at} to ${clock.now()}`;
      });
      return answer;
    };
    const [answer] = await clock.run(Promise.all([serve(), slicer.submit("a", train())]));
    expect(answer).toBe("4 to 13");
    expect(starts).toEqual([0, 13, 23]);
    expect(slicer.usedMs("b")).toBe(9);
  });

  it("lets predictions that never cease hold no step back for longer than one of them", async () => {
    const { clock, slicer } = setUp({ a: 0.5, b: 0.5 });
    let isOver = false;
    const serving = (async () => {
      while (!isOver) await Promise.all([slicer.serve("b", () => clock.sleep(9)), clock.sleep(5)]);
    })();
    const end = await clock.run(
      slicer.submit(
        "a",
        stepsOf(clock, 20, () => 1),
      ),
    );
    isOver = true;
    await clock.run(serving);
    expect(end.steps).toBe(20);
    expect(clock.now()).toBeLessThan(20 * 10 + 20);
  });

  it("passes the failure of a prediction on, and charges its time", async () => {
    const { clock, slicer } = setUp({ a: 1 });
    const failing = slicer.serve("a", async () => {
      await clock.sleep(3);
      throw new Error("no answer");
    });
    await expect(clock.run(failing)).rejects.toThrow("no answer");
    expect(slicer.usedMs("a")).toBe(3);
    expect(
      (
        await clock.run(
          slicer.submit(
            "a",
            stepsOf(clock, 1, () => 1),
          ),
        )
      ).outcome,
    ).toBe("done");
  });

  it("stops the jobs of an app that goes after the step under way, and tells them", async () => {
    const { clock, slicer } = setUp({ a: 0.5, b: 0.5 });
    const told: string[] = [];
    async function* job(name: string): AsyncGenerator<void, void, undefined> {
      try {
        yield* stepsOf(clock, Infinity, () => 10);
      } finally {
        told.push(name);
      }
    }
    const jobs = [slicer.submit("a", job("first")), slicer.submit("a", job("queued"))];
    const other = slicer.submit(
      "b",
      stepsOf(clock, 5, () => 10),
    );
    void clock.sleep(5).then(() => slicer.close("a"));
    const ends = await clock.run(Promise.all([...jobs, other]));
    expect(ends.map(({ outcome, steps }) => [outcome, steps])).toEqual([
      ["stopped", 1],
      ["stopped", 0],
      ["done", 5],
    ]);
    expect(told).toEqual(["first"]); // a generator that has not begun has nothing to end
    expect(() => slicer.submit("a", job("late"))).toThrow(expect.objectContaining({ code: "config.invalid" }));
  });

  it("stops jobs that come after the caller asked to stop", async () => {
    const { clock, slicer } = setUp({ a: 1 }, AbortSignal.abort());
    const job: SliceJob = { next: () => Promise.reject(new Error("never called")) };
    expect(await clock.run(slicer.submit("a", job))).toEqual({ outcome: "stopped", steps: 0, usedMs: 0 });
  });
});
