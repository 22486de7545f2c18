import { describe, expect, it } from "vitest";
import { VirtualClock } from "../slice/virtual-clock.test-helper.js";
import { FakeApp, PICTURE } from "./fake-app.test-helper.js";
import { measureServing, type MeasureServingOptions } from "./measure-serving.js";

function setUp(count: number, prepare: (app: FakeApp) => void = () => undefined) {
  const clock = new VirtualClock();
  const apps = Array.from({ length: count }, (_, i) => new FakeApp(`app${i}`, clock));
  apps.forEach(prepare);
  const served = apps.map((app) => ({ app, fps: 20, frames: () => ({ images: PICTURE }) }));
  const measure = (options: MeasureServingOptions = {}) =>
    clock.run(measureServing(served, { rounds: 3, phaseMs: 4000, clock, ...options }));
  return { measure, apps, clock };
}

describe("measureServing", () => {
  it("takes rounds without and with training in turn, with equal shares of training", async () => {
    const { measure } = setUp(4);
    const report = await measure();
    expect(report).toMatchObject({ apps: 4, p99Ratio: 1, p50Ratio: 1, roundRatios: [1, 1, 1] });
    expect(report.idle.count).toBe(3 * 4 * 80);
    expect(report.training.count).toBeGreaterThanOrEqual(3 * 4 * 80);
    expect(report.steps).toBeGreaterThan(900);
    expect(report.trainingShare).toBeGreaterThan(0.9);
    expect(report.shareError).toBeLessThan(0.02);
  });

  it("sees predictions that training slows down", async () => {
    let training = 0;
    const { measure } = setUp(2, (app) => {
      const [step, predict] = [app.step.bind(app), app.predict.bind(app)];
      app.step = async () => {
        training++;
        await step();
        training--;
      };
      app.predict = async () => (training > 0 ? (await predict(), await predict()) : predict());
    });
    const report = await measure();
    expect(report.p99Ratio).toBe(2);
    expect(report.roundRatios).toEqual([2, 2, 2]);
  });

  it("rejects as a step does, and without apps", async () => {
    const failing = setUp(1, (app) => (app.failsAt = { step: new Error("boom") }));
    await expect(failing.measure()).rejects.toMatchObject({ code: "run.failed" });
    await expect(setUp(0).measure()).rejects.toMatchObject({ code: "config.invalid" });
  });

  it("stops at the signal", async () => {
    const { measure, clock } = setUp(2);
    const stopped = new AbortController();
    void clock.sleep(900).then(() => stopped.abort());
    await expect(measure({ signal: stopped.signal })).rejects.toMatchObject({ code: "aborted" });
    expect(clock.now()).toBeLessThan(1000);
  });
});
