import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readNpzFile } from "../../../test/helpers/npz.js";
import { maxDifference } from "../../../test/helpers/parity.js";
import { createReferenceRun } from "../../../test/helpers/reference-host.js";
import { Random } from "../../base/index.js";
import { type Model, prepareModel, readModel, TEACHER } from "../../graph/index.js";
import { createMachine, type RunTensor, Trainer } from "../../run/node.js";
import { parsePreprocessing } from "../../vision/index.js";
import { type Host, type MethodPlan, planMethod } from "../method.js";
import { MethodRun } from "../method-run.js";
import { controlCotta, cotta, drawOnes } from "./cotta.js";
import { meanTeacher } from "./mean-teacher.js";
import { rotta } from "./rotta.js";

const folder = new URL("../../../test/fixtures/methods/", import.meta.url);
const settings = JSON.parse(readFileSync(new URL("methods.json", folder), "utf8")) as {
  readonly cotta: { readonly steps: number; readonly views: number; readonly threshold: number };
  readonly rotta: { readonly steps: number; readonly capacity: number; readonly updates: number };
};
const network: Model = prepareModel(readModel(readFileSync(new URL("network.onnx", folder))));

/** An array of a fixture, or a part of it by its leading axes. */
function readFixture(file: string): (name: string, ...places: number[]) => RunTensor {
  const arrays = readNpzFile(new URL(file, folder).pathname);
  return (name, ...places) => {
    const { dims, data } = arrays.get(name)!;
    const size = (data as Float64Array).length / dims.slice(0, places.length).reduce((n, d) => n * d, 1);
    const part = places.reduce((at, place, axis) => at * dims[axis]! + place, 0);
    const cut = (data as Float64Array).slice(part * size, (part + 1) * size);
    return { dtype: "float32", dims: dims.slice(places.length), data: Float64Array.from(cut) };
  };
}

/** As ONNX Runtime takes it. */
const single = (value: RunTensor): RunTensor => ({ ...value, data: Float32Array.from(value.data as Float64Array) });

/** The plan, on a host whose views are recorded ones. */
function withViews(plan: MethodPlan, nextView: () => RunTensor, create = plan.control!): MethodPlan {
  return { ...plan, control: (host) => create({ ...host, augment: () => nextView() }) };
}

function expectWeights(
  found: ReadonlyMap<string, { data: ArrayLike<number> }>,
  expected: (name: string) => RunTensor,
  within: number,
): void {
  expect(found.size).toBeGreaterThan(0);
  for (const [name, { data }] of found)
    expect(maxDifference(data, expected(name).data as Float64Array), name).toBeLessThan(within);
}

const runTrainer = async (
  plan: MethodPlan,
  use: (run: MethodRun, trainer: Trainer) => Promise<void>,
): Promise<void> => {
  await using machine = createMachine();
  await using trainer = Trainer.create(network, { ...plan, machine, threads: 1 });
  const preprocessing = parsePreprocessing({ width: 8, height: 8 });
  await use(new MethodRun(plan, trainer, { random: new Random(0), model: network, preprocessing }), trainer);
};

describe("CoTTA, by its authors' code with recorded views and masks", () => {
  const fixture = readFixture("cotta.npz");
  const { steps, views, threshold } = settings.cotta;

  /** The plan with the draws of the recorded run, each in float32 for ONNX Runtime where asked. */
  function recordedPlan(convert = (value: RunTensor): RunTensor => value): {
    plan: MethodPlan;
    beginStep: (step: number) => void;
    used: () => number;
  } {
    let [step, view] = [0, 0];
    const draw = (name: string): Float32Array => Float32Array.from(fixture(`mask.${name}`, step).data as Float64Array);
    const plan = planMethod(cotta, network, 4, { threshold });
    const create = (host: Host) => controlCotta(host, { ...cotta.options.parse({ threshold }), placement: true }, draw);
    return {
      plan: withViews(plan, () => convert(fixture("views", step, view++)), create),
      beginStep: (next) => ([step, view] = [next, 0]),
      used: () => view,
    };
  }

  test("in float64: what is served and the weights of student and teacher within 1e-9 at every step, views where they were used", async () => {
    const { plan, beginStep, used } = recordedPlan();
    const { run, engine } = createReferenceRun(network, plan);
    const branches: boolean[] = [];
    for (let step = 0; step < steps; step++) {
      beginStep(step);
      const { prediction } = await run.step({ images: fixture("images", step), indices: [] });
      expect(
        maxDifference(prediction.data as Float64Array, fixture("outputs", step).data as Float64Array),
      ).toBeLessThan(1e-9);
      expectWeights(engine.weights(), (name) => fixture(`student.${name}`, step), 1e-9);
      expectWeights(engine.weights(TEACHER), (name) => fixture(`teacher.${name}`, step), 1e-12);
      expect(used()).toBe(Number(fixture("confidence", step).data[0]) < threshold ? views : 0);
      branches.push(used() > 0);
    }
    expect(new Set(branches)).toEqual(new Set([true, false]));
  });

  test("in ONNX Runtime: what is served within 1e-3", async () => {
    const { plan, beginStep } = recordedPlan(single);
    await runTrainer(plan, async (run) => {
      for (let step = 0; step < steps; step++) {
        beginStep(step);
        const { prediction } = await run.step({ images: single(fixture("images", step)), indices: [] });
        expect(
          maxDifference(prediction.data as Float32Array, fixture("outputs", step).data as Float64Array),
        ).toBeLessThan(1e-3);
      }
    });
  });

  test("restores numbers at random, each with the probability asked for, the same for the same seed", () => {
    const share = (p: number): number => drawOnes(100_000, p, new Random(1)).reduce((sum, one) => sum + one, 0) / 1e5;
    // Within 4 deviations.
    for (const p of [0.01, 0.3, 0.9]) expect(Math.abs(share(p) - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 1e5));
    expect([share(0), share(1)]).toEqual([0, 1]);
    expect(drawOnes(1000, 0.1, new Random(5))).toEqual(drawOnes(1000, 0.1, new Random(5)));
  });
});

describe("RoTTA, by its authors' code with recorded views", () => {
  const fixture = readFixture("rotta.npz");
  const { steps, capacity, updates } = settings.rotta;

  function recordedPlan(convert = (value: RunTensor): RunTensor => value): { plan: MethodPlan; used: () => number } {
    let update = 0;
    const plan = planMethod(rotta, network, 8, { capacity });
    return { plan: withViews(plan, () => convert(fixture(`strong.${update++}`))), used: () => update };
  }
  const expectedOf = (owner: string) => (name: string) => fixture(`${owner}.${name}`);

  test("in float64: what is served, weights and statistics of student and teacher within 1e-9", async () => {
    const { plan, used } = recordedPlan();
    const { run, engine } = createReferenceRun(network, plan);
    for (let step = 0; step < steps; step++) {
      const { prediction } = await run.step({ images: fixture("images", step), indices: [] });
      expect(
        maxDifference(prediction.data as Float64Array, fixture("outputs", step).data as Float64Array),
      ).toBeLessThan(1e-9);
    }
    expect(used()).toBe(updates);
    expectWeights(engine.weights(), expectedOf("student"), 1e-9);
    expectWeights(engine.weights("statistic"), expectedOf("student"), 1e-9);
    expectWeights(engine.weights(TEACHER), expectedOf("teacher"), 1e-12);
    expectWeights(engine.weights("statistic", TEACHER), expectedOf("teacher"), 1e-9);
  });

  test("in ONNX Runtime: what is served within 1e-3", async () => {
    const { plan } = recordedPlan(single);
    await runTrainer(plan, async (run) => {
      for (let step = 0; step < steps; step++) {
        const { prediction } = await run.step({ images: single(fixture("images", step)), indices: [] });
        expect(
          maxDifference(prediction.data as Float32Array, fixture("outputs", step).data as Float64Array),
        ).toBeLessThan(1e-3);
      }
    });
  });
});

test("CoTTA that restores everything leaves every weight to the byte, and its teacher on the way to where it would have gone", async () => {
  const plan = planMethod(cotta, network, 4, { views: 0, restore: 1, decay: 0.5 });
  await runTrainer(plan, async (run, trainer) => {
    const images = single(readFixture("cotta.npz")("images", 0));
    for (let step = 0; step < 3; step++) await run.step({ images, indices: [] });
    const [student, teacher] = [await trainer.exportModel(), await trainer.exportModel({ weights: TEACHER })];
    for (const name of plan.train!.parameters) {
      const start = network.graph.initializers.get(name)!.data;
      expect(student.graph.initializers.get(name)!.data, name).toEqual(start);
      expect(teacher.graph.initializers.get(name)!.data, name).not.toEqual(start);
    }
  });
});

describe("forks of teachers", () => {
  const images = readFixture("cotta.npz")("images", 0);
  const softmaxRows = ({ data }: RunTensor): number[] =>
    Array.from(data as Float64Array, (value, at) => {
      const row = (data as Float64Array).slice(at - (at % 4), at - (at % 4) + 4);
      return Math.exp(value) / row.reduce((sum, v) => sum + Math.exp(v), 0);
    });

  test("CoTTA averages logits, or probabilities where asked", async () => {
    const shown = [0, 1].map((view) => readFixture("cotta.npz")("views", 0, view));
    const { engine } = createReferenceRun(network, planMethod(cotta, network, 4, {}));
    const answers = await Promise.all(shown.map(async (view) => (await engine.predict(view)).prediction));
    const meanOf = (all: readonly (readonly number[])[]): number[] => all[0]!.map((v, at) => (v + all[1]![at]!) / 2);
    for (const averages of ["logits", "probabilities"] as const) {
      let view = 0;
      const plan = planMethod(cotta, network, 4, { threshold: 1, views: 2, averages });
      const { run } = createReferenceRun(
        network,
        withViews(plan, () => shown[view++]!),
      );
      const { prediction } = await run.step({ images, indices: [] });
      if (averages === "logits")
        expect(prediction.data).toEqual(
          Float64Array.from(meanOf(answers.map(({ data }) => [...(data as Float64Array)]))),
        );
      else expect(maxDifference(softmaxRows(prediction), meanOf(answers.map(softmaxRows)))).toBeLessThan(1e-12);
    }
  });

  test("CoTTA serves and exports the teacher, or the student where asked", async () => {
    const view = readFixture("cotta.npz")("views", 0, 0);
    const plans = ["teacher", "student"].map((answers) =>
      // A teacher asked about the image itself says what the student does, who learns nothing of it.
      withViews(planMethod(cotta, network, 4, { answers, threshold: 1, views: 1 }), () => view),
    );
    expect(plans.map((plan) => plan.exports)).toEqual([TEACHER, undefined]);
    const served = await Promise.all(
      plans.map(async (plan) => (await createReferenceRun(network, plan).run.step({ images, indices: [] })).prediction),
    );
    const { engine } = createReferenceRun(network, plans[0]!);
    for (const [index, seen] of [view, images].entries())
      expect(served[index]!.data).toEqual((await engine.predict(seen)).prediction.data);
  });

  test.each([cotta, meanTeacher])(
    "the teacher of $name is exported with statistics of its own, or of the source",
    async (method) => {
      const statisticsBy = async (teacherStatistics: string): Promise<boolean> => {
        const { run, engine } = createReferenceRun(
          network,
          planMethod(method, network, 4, { teacherStatistics, ...(method === cotta && { views: 0 }) }),
        );
        await run.step({ images, indices: [] });
        const kept = [...engine.weights("statistic", TEACHER)];
        expect(kept.length).toBeGreaterThan(0);
        return kept.every(([name, { data }]) => {
          return maxDifference(data, network.graph.initializers.get(name)!.data as Float32Array) === 0;
        });
      };
      expect([await statisticsBy("own"), await statisticsBy("source")]).toEqual([false, true]);
    },
  );

  test.each([
    [cotta, { threshold: 1, views: 1 }],
    [rotta, { capacity: 4 }],
    [meanTeacher, {}],
  ])("$name draws a view for a batch, or for each image where asked", async (method, options) => {
    for (const viewsPer of [undefined, "image"]) {
      const plan = planMethod(method, network, 4, { ...options, viewsPer });
      const asked: (string | undefined)[] = [];
      const control: MethodPlan["control"] = (host) =>
        plan.control!({
          ...host,
          augment: (some, settings) => {
            asked.push(settings?.per);
            return host.augment(some, settings);
          },
        });
      await createReferenceRun(network, { ...plan, control }).run.step({ images, indices: [] });
      expect(asked).toEqual([viewsPer ?? "batch"]);
    }
  });

  test("a view for each image differs between equal images by more than noise", async () => {
    const image = images.data.slice(0, 192) as Float64Array;
    const twice = { ...images, dims: [2, 3, 8, 8], data: Float32Array.of(...image, ...image) };
    const views: RunTensor[] = [];
    const control: MethodPlan["control"] = (host) => {
      for (const per of ["batch", "image"] as const) views.push(host.augment(twice, { per }));
      return {};
    };
    createReferenceRun(network, { ...planMethod(cotta, network, 4, {}), control });
    const [batch, each] = views.map(({ data }) => {
      const numbers = data as Float32Array;
      return maxDifference(numbers.slice(0, 192), numbers.slice(192));
    });
    // Noise has a deviation of 0.005.
    expect(batch).toBeLessThan(0.06);
    expect(each).toBeGreaterThan(0.2);
  });
});

describe("mean-teacher", () => {
  const segmenter = prepareModel(readModel(readFileSync(new URL("../training/unet.onnx", folder))));
  const images: RunTensor = {
    dtype: "float32",
    dims: [4, 3, 16, 16],
    data: Float32Array.from({ length: 4 * 768 }, (_, at) => Math.sin(at / 7)),
  };

  test("averages every weight over its steps, on a model of maps as on a classifier", async () => {
    const plan = planMethod(meanTeacher, segmenter, 4, { confidence: 0, decay: 0.75 });
    const { run, engine } = createReferenceRun(segmenter, plan, { seed: 1 });
    const expected = new Map([...engine.weights()].map(([name, { data }]) => [name, Float64Array.from(data)]));
    for (let step = 0; step < 2; step++) {
      const { prediction, loss } = await run.step({ images, indices: [] });
      expect(prediction.dims).toEqual([4, 10, 16, 16]);
      expect(loss).toBeGreaterThan(0);
      for (const [name, { data }] of engine.weights())
        expected.set(
          name,
          expected.get(name)!.map((value, at) => 0.75 * value + 0.25 * data[at]!),
        );
    }
    for (const [name, data] of expected)
      expect(maxDifference(engine.weights(TEACHER).get(name)!.data, data), name).toBeLessThan(1e-12);
  });

  test("stays as it is where the teacher is never sure", async () => {
    const plan = planMethod(meanTeacher, network, 4, { confidence: 1, optimizer: "sgd" });
    const { run, engine } = createReferenceRun(network, plan);
    await run.step({ images: readFixture("cotta.npz")("images", 0), indices: [] });
    for (const [name, { data }] of engine.weights())
      expect(maxDifference(data, network.graph.initializers.get(name)!.data as Float32Array), name).toBe(0);
  });
});
