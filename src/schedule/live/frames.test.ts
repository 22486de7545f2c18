import { describe, expect, it } from "vitest";
import { VirtualClock } from "../slice/virtual-clock.test-helper.js";
import { PICTURE } from "./fake-app.test-helper.js";
import { serveFrames } from "./frames.js";
import { latencyOf } from "./latency.js";

/** What becomes of so many frames at 10 per second, each of which takes so long to answer. */
async function serveAll(count: number, tookMs: (index: number) => number, signal = new AbortController().signal) {
  const clock = new VirtualClock();
  const served: number[] = [];
  let [dropped, taken] = [0, 0];
  const camera = {
    fps: 10,
    frames: (index: number) => {
      taken = index;
      return index < count ? { images: PICTURE } : undefined;
    },
  };
  await clock.run(
    serveFrames(camera, {
      ...{ clock, signal },
      serve: async (_, dueMs) => {
        served.push(taken);
        expect(dueMs).toBeCloseTo(100 * taken, 6);
        await clock.sleep(tookMs(taken));
      },
      onDropped: (frames) => (dropped += frames),
    }),
  );
  return { served, dropped, clock };
}

describe("frames of a camera", () => {
  it("are served as they fall due, each once", async () => {
    const { served, dropped, clock } = await serveAll(5, () => 20);
    expect(served).toEqual([0, 1, 2, 3, 4]);
    expect(dropped).toBe(0);
    expect(clock.now()).toBeCloseTo(500, 6);
  });

  it("may be late by less than a period", async () => {
    const { served, dropped } = await serveAll(4, (index) => (index === 0 ? 190 : 10));
    expect(served).toEqual([0, 1, 2, 3]);
    expect(dropped).toBe(0);
  });

  it("are dropped and counted once they are older than a period, so that none waits behind a slow one", async () => {
    const { served, dropped } = await serveAll(10, (index) => (index === 2 ? 450 : 10));
    expect(served).toEqual([0, 1, 2, 6, 7, 8, 9]);
    expect(dropped).toBe(3);
  });

  it("never queue where the device is too slow for all of them", async () => {
    const { served, dropped } = await serveAll(100, () => 250);
    expect(served.length + dropped).toBeGreaterThanOrEqual(100);
    expect(served.length).toBeLessThan(45);
    expect(served.at(-1)).toBeGreaterThan(95);
  });

  it("end at the signal", async () => {
    expect((await serveAll(10, () => 1, AbortSignal.abort())).served).toEqual([]);
  });
});

describe("latencyOf", () => {
  it("gives quantiles by nearest rank", () => {
    expect(latencyOf(Array.from({ length: 200 }, (_, i) => 200 - i))).toEqual({ count: 200, p50Ms: 100, p99Ms: 198 });
    expect(latencyOf([7])).toEqual({ count: 1, p50Ms: 7, p99Ms: 7 });
    expect(latencyOf([])).toEqual({ count: 0, p50Ms: 0, p99Ms: 0 });
  });
});
