import { describe, expect, it } from "vitest";
import { LimberError } from "../../base/index.js";
import type { Allocation, Planner, PlanRequest } from "../plan.js";
import { filterGrained } from "../planners/index.js";
import { VirtualClock } from "../slice/virtual-clock.test-helper.js";
import { createFakeMeter, FAKE_ESTIMATOR, FakeApp, PICTURE, scoreOf } from "./fake-app.test-helper.js";
import type { LiveEntry } from "./journal.js";
import type { LiveApp } from "./live-app.js";
import { type LiveOptions, runLive } from "./run-live.js";

const DEVICE = { windowMs: 1000, microWindows: 4, memoryBytes: 1e6 };
const TRUTH = { labels: Int32Array.of(0), truths: undefined };

/** Grants every app what `of` says; equal shares. */
function planning(of: (request: PlanRequest, app: string) => Partial<Allocation>, trials?: Planner["trials"]): Planner {
  return {
    ...{ name: "stub", summary: "for tests" },
    ...(trials && { trials }),
    plan: (request) => ({
      ...{ planner: "stub", windowMs: request.device.windowMs, costMs: 0, memoryBytes: 0, refused: [] },
      allocations: request.apps.map(({ name, level }) => ({
        ...{ app: name, level: level ?? 0, steps: 0, share: 1 / request.apps.length },
        ...{ shed: 0, costMs: 0, expected: 0, why: [], ...of(request, name) },
      })),
    }),
  };
}

interface Setting extends Partial<LiveOptions> {
  readonly apps?: Readonly<Record<string, Partial<LiveApp>>>;
  readonly prepare?: (app: FakeApp) => void;
}

async function run({ apps: specs = { a: {} }, prepare, ...options }: Setting) {
  const clock = new VirtualClock();
  const apps = Object.keys(specs).map((name) => new FakeApp(name, clock));
  apps.forEach((app) => prepare?.(app));
  const frames = () => ({ images: PICTURE, truth: TRUTH });
  const live = apps.map((app) => ({
    ...{ app, kind: "fake", fps: 20, frames, createMeter: createFakeMeter },
    ...specs[app.name],
  }));
  const journal: LiveEntry[] = [];
  const report = await clock.run(
    runLive(live, {
      ...{ planner: filterGrained(), estimator: FAKE_ESTIMATOR, device: DEVICE, windows: 1, clock },
      journal: (entry) => journal.push(entry),
      ...options,
    }),
  );
  const of = <K extends LiveEntry["kind"]>(kind: K) =>
    journal.filter((entry): entry is Extract<LiveEntry, { readonly kind: K }> => entry.kind === kind);
  return { report, journal, of, apps: Object.fromEntries(apps.map((app) => [app.name, app])), clock };
}

describe("runLive", () => {
  it("makes the planned level, trains the planned steps, and lets what was trained serve", async () => {
    let plans = 0;
    const planner = planning(() => (plans++ === 0 ? { level: 1, steps: 4 } : {}));
    const { apps, report, journal } = await run({ planner });
    expect(apps.a!.done.join(" ")).toBe("signals remodel swap step step step step swap signals");
    const [row] = report.windows[0]!.apps;
    expect(row).toMatchObject({ app: "a", level: 1, steps: 4, estimated: scoreOf(1, 4) });
    expect(report.apps[0]).toMatchObject({ steps: 4, remodels: 1, failures: 0, framesAsked: 20, framesServed: 20 });
    expect(report.device).toMatchObject({ makeMs: 30, trainMs: 80, observeMs: 4, trialMs: 0 });
    expect(journal.map(({ kind }) => kind).join(" ")).toBe(
      "arrived observed plan made trained observed plan plan plan plan",
    );
  });

  it("plans what is left of the window after each part of it, and whole windows anew", async () => {
    const left: number[] = [];
    const planner = planning(({ device }) => {
      left.push(device.windowMs);
      return {};
    });
    const { of, report } = await run({ planner, windows: 2 });
    expect(of("plan").map(({ causes }) => causes.join("+"))).toEqual(
      ["window+arrival", "window"].flatMap((first) => [first, "micro-window", "micro-window", "micro-window"]),
    );
    expect(left.slice(0, 4).map((ms) => Math.round(ms / 50) * 50)).toEqual([1000, 750, 500, 250]);
    expect(report).toMatchObject({ plans: 8, complete: true, elapsedMs: 2000 });
    expect(report.windows.map(({ window, startMs }) => [window, startMs])).toEqual([
      [0, 0],
      [1, 1000],
    ]);
  });

  it("goes on with the time that is left where all that was granted is done", async () => {
    const { of, report } = await run({ planner: planning(() => ({ steps: 5 })) });
    expect(of("plan").length).toBeGreaterThan(10);
    expect(report.apps[0]!.steps).toBeGreaterThan(80);
    expect(report.device.idleMs).toBeLessThan(100);
  });

  it("serves every frame beside training, and tells how long answers took", async () => {
    const { report } = await run({
      apps: { a: {}, b: {}, c: {} },
      planner: planning(() => ({ steps: 100 })),
      windows: 2,
    });
    for (const { framesAsked, framesServed, latency, score } of report.apps) {
      expect(framesAsked).toBe(Math.ceil(report.elapsedMs / 50));
      expect(framesServed).toBe(framesAsked);
      expect(latency).toEqual({ count: framesServed, p50Ms: 1, p99Ms: 1 });
      expect(score).toBeGreaterThan(scoreOf(0, 0));
      expect(score).toBeLessThan(scoreOf(0, 100));
    }
  });

  it("gives apps the shares of the plan", async () => {
    const shares = { a: 0.6, b: 0.3, c: 0.1 };
    const planner = planning((_, app) => ({ steps: 1000, share: shares[app as "a"] }));
    const { report } = await run({ apps: { a: {}, b: {}, c: {} }, planner, windows: 10 });
    for (const { app, share, usedShare } of report.windows.at(-1)!.apps) {
      expect(share).toBeCloseTo(shares[app as "a"], 9);
      expect(usedShare).toBeGreaterThan(0.05);
    }
    const used = (name: string) =>
      report.windows.reduce((sum, { apps }) => sum + apps.find(({ app }) => app === name)!.usedShare, 0);
    expect(used("a") / used("b")).toBeCloseTo(2, 0);
    expect(used("a") / used("c")).toBeGreaterThan(4.5);
  });

  it("works turn by turn where the plan has turns, what was trained serving after each", async () => {
    const planner = planning((_, app) => ({ level: app === "a" ? 1 : 0, steps: 3 }));
    const turns = ["b", "a", "b"].map((app, i) => ({ app, steps: [1, 3, 2][i]! }));
    let plans = 0;
    const plan: Planner["plan"] = (request) => {
      const made = planner.plan(request);
      return plans++ === 0
        ? { ...made, turns }
        : { ...made, allocations: made.allocations.map((each, i) => ({ ...each, level: 1 - i, steps: 0 })) };
    };
    const { of, apps } = await run({ apps: { a: {}, b: {} }, planner: { ...planner, plan } });
    expect(of("trained").map(({ app, steps }) => `${app} ${steps}`)).toEqual(["b 1", "a 3", "b 3"]);
    const done = (name: string): string => apps[name]!.done.filter((what) => what !== "signals").join(" ");
    expect(done("a")).toBe("remodel swap step step step swap");
    expect(done("b")).toBe("step swap step step swap");
  });

  it("plans again when an app comes or goes", async () => {
    const apps = { a: {}, late: { arriveMs: 320 }, early: { departMs: 610 } };
    const { of, report } = await run({ apps, planner: planning(() => ({ steps: 100 })) });
    const plans = of("plan").filter(({ causes }) => causes.some((cause) => cause !== "micro-window"));
    expect(plans.map(({ causes, plan }) => [causes[0], plan.allocations.map(({ app }) => app)])).toEqual([
      ["window", ["a", "early"]],
      ["arrival", ["a", "late", "early"]],
      ["departure", ["a", "late"]],
    ]);
    expect(of("arrived").map(({ app }) => app)).toEqual(["a", "early", "late"]);
    expect(of("departed")[0]!.atMs).toBeLessThan(650);
    const present = new Map(report.apps.map(({ app, presentMs }) => [app, presentMs]));
    expect(present.get("late")).toBeGreaterThan(640);
    expect(present.get("early")).toBeLessThan(650);
  });

  it("plans with what is known where looks take long, and anew once all is seen", async () => {
    const asked: PlanRequest[] = [];
    const planner = planning((request, app) => {
      if (app === "a") asked.push(request);
      return { steps: 1000 };
    });
    const names = ["a", "b", "c", "d"];
    const { of } = await run({
      ...{ planner, device: { ...DEVICE, microWindows: 1 }, apps: Object.fromEntries(names.map((name) => [name, {}])) },
      prepare: (app) => (app.lookMs = app.name === "a" ? 2 : 200),
    });
    const [first, second] = of("plan");
    expect(first!.atMs).toBe(DEVICE.windowMs / 8);
    expect(second!.causes).toEqual(["look"]);
    expect(second!.atMs).toBeGreaterThan(602);
    const hoped = ({ apps }: PlanRequest): boolean[] => apps.map(({ estimate }) => estimate(0, 10) > estimate(0, 0));
    expect(asked.slice(0, 2).map(hoped)).toEqual([
      [true, false, false, false],
      [true, true, true, true],
    ]);
    const early = of("trained").filter(({ atMs }) => atMs <= second!.atMs);
    expect(early.find(({ app }) => app === "a")!.steps).toBeGreaterThan(0);
    expect(
      of("observed")
        .slice(0, 4)
        .map(({ app }) => app),
    ).toEqual(names);
  });

  it("makes models anew for other surroundings, once enough pictures of them are seen", async () => {
    const frames = (index: number) => ({ images: PICTURE, surroundings: index < 8 ? "day" : "fog" });
    const planner = planning(() => ({ steps: 1000 }));
    const { of, apps } = await run({ apps: { a: { frames, probe: 4 } }, planner });
    // the ninth frame, due after 400 ms, is the first of fog
    expect(of("drifted").map(({ atMs, surroundings }) => [Math.floor(atMs / 50) * 50, surroundings])).toEqual([
      [550, "fog"],
    ]);
    expect(of("plan").find(({ causes }) => causes.includes("drift"))!.atMs).toBeLessThan(580);
    expect(of("made").map(({ level }) => level)).toEqual([0]);
    expect(apps.a!.done.filter((what) => what === "remodel").length).toBe(1);
  });

  it("tells planners of a model made for other surroundings what it scores, less what making it anew is hoped to bring", async () => {
    const asked: PlanRequest[] = [];
    const planner = planning((request) => {
      asked.push(request);
      return {};
    });
    const frames = (index: number) => ({ images: PICTURE, truth: TRUTH, surroundings: index < 10 ? "day" : "fog" });
    await run({ apps: { a: { frames, probe: 2 } }, planner });
    const stale = asked.filter(({ apps }) => apps[0]!.level === undefined);
    expect(stale.length).toBeGreaterThan(0);
    for (const { apps } of stale) expect(apps[0]!.present).toBeCloseTo(scoreOf(0, 0) - 0.1, 9);
  });

  it("lets an app whose training fails serve on, and tries again in the next window", async () => {
    const error = new LimberError("train.non-finite", "loss: finite, got NaN");
    const apps = { a: {}, b: {} };
    const { report, of } = await run({
      ...{ apps, windows: 2, planner: planning(() => ({ steps: 10 })) },
      prepare: (app) => {
        if (app.name === "a") app.failsAt = { step: error };
      },
    });
    expect(of("failed")).toHaveLength(2);
    expect(of("failed")[0]).toMatchObject({
      app: "a",
      doing: "train",
      code: "train.non-finite",
      message: error.message,
    });
    expect(of("failed")[1]!.atMs).toBeGreaterThan(1000);
    const [a, b] = report.apps;
    expect(a).toMatchObject({ steps: 0, failures: 2, framesServed: a!.framesAsked });
    expect(b!.steps).toBeGreaterThan(100);
  });

  it("counts predictions that fail, with one line a window, and goes on", async () => {
    const { report, of } = await run({ windows: 2, prepare: (app) => (app.failsAt = { predict: new Error("no") }) });
    const { framesAsked } = report.apps[0]!;
    expect(framesAsked).toBeGreaterThanOrEqual(40);
    expect(report.apps[0]).toMatchObject({ framesFailed: framesAsked, framesServed: 0, score: undefined });
    expect(of("failed").map(({ doing, code }) => [doing, code])).toEqual([
      ["predict", "run.failed"],
      ["predict", "run.failed"],
    ]);
  });

  it("goes on without signals, and without a camera that fails", async () => {
    const frames = () => Promise.reject(new Error("unplugged"));
    const { report, of } = await run({
      apps: { a: { frames } },
      prepare: (app) => (app.failsAt = { signals: new Error("no") }),
    });
    expect(
      of("failed")
        .map(({ doing }) => doing)
        .slice(0, 2)
        .sort(),
    ).toEqual(["frames", "observe"]);
    expect(report).toMatchObject({ complete: true });
  });

  it("gives frames up evenly where the plan sheds them", async () => {
    const planner = planning(() => ({ shed: 15 }));
    const { report } = await run({
      planner: { ...planner, trials: () => [] },
      apps: { a: { openTwin: () => never() } },
    });
    expect(report.apps[0]).toMatchObject({ framesAsked: 20, framesServed: 5, framesShed: 15 });
    expect(report.score).toBeCloseTo(scoreOf(0, 0) / 4, 2);
  });

  it("drops frames that a slow model is too late for", async () => {
    const slow = (app: FakeApp) =>
      Object.assign(app, { levels: app.levels.map((level) => ({ ...level, inferMs: 120 })) });
    const { report } = await run({ planner: planning(() => ({})), prepare: slow, apps: { a: { deadlineMs: 100 } } });
    const [{ framesAsked, framesServed, framesDropped, framesLate }] = report.apps as [(typeof report.apps)[number]];
    expect(framesAsked).toBe(framesServed + framesDropped);
    expect(framesServed).toBeLessThan(10);
    expect(framesLate).toBe(framesServed);
  });

  it("runs trials on twins that go afterwards, once for each window", async () => {
    const twins: FakeApp[] = [];
    const clock = new VirtualClock();
    const seen: unknown[] = [];
    const planner = planning(
      ({ apps }) => {
        seen.push(apps[0]!.trials);
        return { steps: 5 };
      },
      () => [{ app: "a", level: 2, steps: 3 }],
    );
    const app = new FakeApp("a", clock);
    const openTwin = async () => {
      twins.push(new FakeApp("twin", clock));
      return twins.at(-1)!;
    };
    const frames = () => ({ images: PICTURE });
    const report = await clock.run(
      runLive([{ app, kind: "fake", fps: 20, frames, openTwin }], {
        ...{ planner, estimator: FAKE_ESTIMATOR, device: DEVICE, windows: 2, clock },
      }),
    );
    expect(twins.map(({ done }) => done.join(" "))).toEqual(
      Array(2).fill("remodel swap signals step step step swap signals dispose"),
    );
    expect(seen).toEqual(
      Array(2).fill([{ app: "a", level: 2, steps: 3, before: scoreOf(2, 0), after: scoreOf(2, 3) }]),
    );
    expect(report).toMatchObject({ trials: 2, plans: 2, score: undefined });
    expect(report.device.trialMs).toBe(2 * (30 + 2 + 90 + 2));
    expect(app.done).not.toContain("remodel");
    expect(report.apps[0]!.steps).toBe(10);
  });

  it("raises scores within every limit with our planner, and is the same each time", async () => {
    const setting = { apps: { a: { weight: 2 }, b: {}, c: { fps: 40 } }, windows: 3 };
    const first = await run(setting);
    expect(first.report).toMatchObject({ overBudget: 0, planner: filterGrained().name, complete: true });
    expect(first.report.score).toBeGreaterThan(scoreOf(0, 0) + 0.1);
    expect(first.report.windows[2]!.score).toBeGreaterThan(first.report.windows[0]!.score!);
    const plain = (entries: readonly LiveEntry[]) =>
      JSON.stringify(entries, (key, value: unknown) => (key === "decisionMs" ? 0 : value));
    expect(plain((await run(setting)).journal)).toBe(plain(first.journal));
  });

  it("stops at the signal and tells of what is done", async () => {
    const stopped = new AbortController();
    const planner = planning(({ device }) => {
      if (device.windowMs < 600) stopped.abort();
      return { steps: 1000 };
    });
    const { report } = await run({ planner, windows: undefined, signal: stopped.signal });
    expect(report.complete).toBe(false);
    expect(report.elapsedMs).toBeLessThan(600);
    expect(report.apps[0]!.steps).toBeGreaterThan(30);
    const never = await run({ signal: AbortSignal.abort() });
    expect(never.report).toMatchObject({ complete: false, plans: 0 });
  });

  it("passes on what a planner throws, with nothing left running", async () => {
    const planner = planning(() => {
      throw new LimberError("config.invalid", "plan request: broken");
    });
    await expect(run({ planner })).rejects.toMatchObject({ code: "config.invalid" });
  });

  it.each([
    ["a window of no length", { device: { ...DEVICE, windowMs: 0 } }],
    ["parts that are no number", { device: { ...DEVICE, microWindows: 0.5 } }],
    ["windows below 0", { windows: -1 }],
    ["a camera without frames", { apps: { a: { fps: 0 } } }],
    [
      "trials without twins",
      {
        planner: planning(
          () => ({}),
          () => [],
        ),
      },
    ],
  ] as const)("refuses %s", async (_, setting) => {
    await expect(run(setting)).rejects.toMatchObject({ code: "config.invalid" });
  });
});

const never = (): Promise<never> => Promise.reject(new Error("never opened"));
