import { beforeAll, describe, expect, test } from "vitest";
import { maxDifference } from "../../test/helpers/parity.js";
import { CLASSES, damaged, foldedNetwork, squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { isLimberError, Random } from "../base/index.js";
import { type Model, readModel, writeModel } from "../graph/index.js";
import { createMachine, Predictor, Trainer } from "../run/node.js";
import { type Batch, batches, type Domain } from "../vision/index.js";
import { adapt } from "./adapt.js";
import type { AdaptOptions, DomainReport } from "./options.js";
import { evaluate } from "./evaluate.js";
import { type Method, planMethod, type StreamBatch } from "./method.js";
import { MethodRun } from "./method-run.js";
import { bn, findMethod, METHODS } from "./methods/index.js";

const model = tinyNetwork();
const NEEDS_NORM = ["bn", "tent", "shot-im", "eta", "eata", "delta", "sar", "finetune", "rotta"];
const needsLabels = ({ labels }: Method): boolean => labels === "required";
/** What keeps a run short, where a method has it. */
const SHORT = [{ epochs: 2 }, { views: 2 }, { capacity: 8 }];
/** What a method is given besides: options for a short run, and images of the source where it uses some. */
const settingsOf = (method: Method): Partial<AdaptOptions> => ({
  methodOptions: Object.assign({}, ...SHORT.filter((option) => method.options.safeParse(option).success)) as unknown,
  ...(method.source && { source: { domain: squares("home", 16, { seed: 4 }) } }),
});

async function run(
  method: Method,
  domain: Domain,
  options: Partial<AdaptOptions> = {},
): Promise<{ report: DomainReport; model: Model }> {
  const result = await adapt(model, [domain], {
    ...{ method, preprocessing: TINY_PREPROCESSING, batchSize: 8, labelled: 8, threads: 1, seed: 3 },
    ...settingsOf(method),
    ...options,
  });
  return { report: result.domains[0]!, model: result.model };
}

async function* streamOnce(all: readonly StreamBatch[]): AsyncGenerator<StreamBatch> {
  for (const batch of all) yield await Promise.resolve(batch);
}
async function* repeat(batch: StreamBatch): AsyncGenerator<StreamBatch, never> {
  for (;;) yield await Promise.resolve(batch);
}

const finite = ({ graph }: Model): boolean =>
  [...graph.initializers.values()].every(({ data }) => (data as Float32Array).every(Number.isFinite));

/** What holds for every method, present and future. */
describe.each(METHODS.map((method) => [method.name, method] as const))("method %s", (name, method) => {
  const domain = squares("plain", 24);
  let first: { report: DomainReport; model: Model };
  beforeAll(async () => {
    first = await run(method, domain);
  });

  test("has a name to be found by and a summary", () => {
    expect(findMethod(name)).toBe(method);
    expect(method.summary).toMatch(/^[^A-Z].*[^.]$/);
  });

  test("refuses an option that it does not have, naming itself", () => {
    expect(() => planMethod(method, model, 8, { nonsense: 1 })).toThrow(
      expect.toSatisfy((e) => isLimberError(e, "config.invalid") && e.message.includes(`"${name}"`)),
    );
  });

  test(
    NEEDS_NORM.includes(name) ? "refuses a model without normalization" : "takes a model without normalization",
    () => {
      const plan = () => planMethod(method, foldedNetwork(), 8, {});
      if (NEEDS_NORM.includes(name)) expect(plan).toThrow(expect.objectContaining({ code: "method.unsuitable" }));
      else expect(plan).not.toThrow();
    },
  );

  test("gives the same bytes and figures for the same seed, and starts every domain from the source", async () => {
    const { domains, model: last } = await adapt(model, [squares("before", 16, { seed: 9 }), domain], {
      ...{ method, preprocessing: TINY_PREPROCESSING, batchSize: 8, labelled: 8, threads: 1, seed: 3 },
      ...settingsOf(method),
    });
    // Which samples are labelled depends on the place in the stream, so only methods without labels see the same data.
    const timeless = (report: DomainReport): DomainReport => ({ ...report, adaptSeconds: 0 });
    const again = needsLabels(method) ? await run(method, domain) : { model: last, report: domains[1]! };
    expect(writeModel(again.model)).toEqual(writeModel(first.model));
    expect(timeless(again.report)).toEqual(timeless(first.report));
  });

  test("is as at the start after a reset, to the byte", async () => {
    const stream = batches(domain, { batchSize: 8, preprocessing: TINY_PREPROCESSING });
    const given = [(await stream.next()).value!, (await stream.next()).value!];
    await stream.return();
    const [first, second] = given;
    const labelledOf = ({ images, labels, indices }: Batch): StreamBatch => {
      const targets = { dtype: "int64", dims: [labels.length], data: BigInt64Array.from(labels, BigInt) } as const;
      return { images, targets, indices };
    };
    const batchOf = (batch: Batch): StreamBatch =>
      needsLabels(method) ? labelledOf(batch) : { ...labelledOf(batch), targets: undefined };
    const plan = planMethod(method, model, 8, settingsOf(method).methodOptions);
    await using trainer = Trainer.create(model, { ...plan, threads: 1 });
    const createRun = (): MethodRun =>
      new MethodRun(plan, trainer, {
        ...{ model, preprocessing: TINY_PREPROCESSING, random: new Random(3), source: repeat(labelledOf(second!)) },
      });
    const run = createRun();
    const pass = () => streamOnce([batchOf(first!), batchOf(second!)]);
    const exported = async (): Promise<Uint8Array> =>
      writeModel(run.exportModel(await trainer.exportModel({ weights: plan.exports })));
    await run.beginPass(0, pass);
    const { prediction } = await run.step(batchOf(first!));
    await run.step(batchOf(second!));
    await run.reset();
    expect(await exported()).toEqual(writeModel(model));
    const again = createRun();
    await again.beginPass(0, pass);
    expect((await again.step(batchOf(first!))).prediction).toEqual(prediction);
  });

  test("leaves a file that loads and predicts as counted", async () => {
    const loaded = readModel(writeModel(first.model));
    await using machine = createMachine();
    const predictor = await Predictor.create(machine, loaded, { threads: 1 });
    const { value: batch } = await batches(domain, { batchSize: 24, preprocessing: TINY_PREPROCESSING }).next();
    expect((await predictor.predict(batch!.images)).output.dims).toEqual([24, CLASSES]);
    const tally = await evaluate(predictor, domain, { batchSize: 8, preprocessing: TINY_PREPROCESSING });
    expect(tally.total).toBe(24);
    if (!needsLabels(method)) expect(first.report.after).toEqual(tally);
  });

  test("counts every sample once", () => {
    const { source, online, after } = first.report;
    expect(online.total).toBe(needsLabels(method) ? 8 : 24);
    expect([source.total, after.total]).toEqual(needsLabels(method) ? [16, 16] : [24, 24]);
  });

  test.each([
    ["batches of one image", squares("single", 6), { batchSize: 1, labelled: 3 }],
    ["a last batch of one image", squares("rest", 9), { labelled: 5 }],
    ["pictures without any contrast", squares("constant", 16, { level: () => 128 }), {}],
    ["a single class", squares("one class", 16, { label: () => 2 }), {}],
    ["levels far out of range", squares("huge", 16, { level: (x) => x * 1e30 }), {}],
  ])("stays finite on %s", async (_, stream, options) => {
    const { report, model: adapted } = await run(method, stream, options);
    expect(finite(adapted)).toBe(true);
    expect(report.refused).toBeLessThanOrEqual(report.steps);
  });

  test("skips what is unreadable or not a number, tells each once, and keeps finite weights", async () => {
    const told: number[] = [];
    const broken = damaged(squares("broken", 24), { 0: "nan", 5: "unreadable", 20: "nan" });
    const { report, model: adapted } = await run(method, broken, { onSkipped: ({ index }) => told.push(index) });
    expect(finite(adapted)).toBe(true);
    expect(report.refused).toBe(0);
    expect(told.sort((a, b) => a - b)).toEqual([0, 5, 20]);
    if (!needsLabels(method)) expect(report.online).toMatchObject({ total: 21, skipped: 3 });
  });
});

describe("findMethod", () => {
  test("lists the names when there is none", () => {
    expect(() => findMethod("magic")).toThrow(/source, bn, tent, shot-im/);
  });
});

describe("bn", () => {
  test.each([
    [{}, 0],
    [{ prior: 8 }, 0.5],
    [{ prior: 24 }, 0.75],
    [{ sourceWeight: 0.3 }, 0.3],
  ])("with %j weighs the source by %d for a batch of 8", (options, sourceWeight) => {
    expect(planMethod(bn, model, 8, options)).toEqual({ statistics: { sourceWeight, variance: "unbiased" } });
  });

  test("takes a prior or a weight, not both, and neither out of range", () => {
    for (const options of [{ prior: 1, sourceWeight: 0.5 }, { prior: -1 }, { sourceWeight: 1.5 }, { prior: "x" }]) {
      expect(() => planMethod(bn, model, 8, options)).toThrow(expect.objectContaining({ code: "config.invalid" }));
    }
  });
});

describe("finetune", () => {
  const weights = ({ graph }: Model) => graph.initializers;
  const changed = (adapted: Model): string[] =>
    [...weights(model)].flatMap(([name, { data }]) => {
      const now = weights(adapted).get(name)!.data as Float32Array;
      return maxDifference(now, data as Float32Array) === 0 ? [] : [name];
    });
  const all = [...weights(model).keys()].filter((name) => !name.includes("running"));
  const last = model.graph.nodes.filter(({ op }) => op === "Conv").at(-1)!;

  test.each([
    ["all", all],
    ["norm", all.filter((name) => /norm|stem\.1|shortcut\.1/.test(name))],
    ["head", ["classifier.weight", "classifier.bias"]],
    ["from=classifier", ["classifier.weight", "classifier.bias"]],
    [`from=${last.name}`, all.slice(all.indexOf(`${last.name}.weight`))],
    [`from=${last.outputs[0]}`, all.slice(all.indexOf(`${last.name}.weight`))],
  ])("with scope %s changes those weights and no byte of others", async (scope, expected) => {
    const { model: adapted } = await run(findMethod("finetune"), squares("labelled", 24), {
      ...{ methodOptions: { scope, epochs: 2 }, withoutEvaluation: true },
    });
    expect(new Set(changed(adapted))).toEqual(new Set(expected));
  });

  test.each([
    [{ scope: "from=nowhere" }, "config.invalid"],
    [{ scope: "from=" }, "config.invalid"],
    [{ scope: "some" }, "config.invalid"],
    [{ epochs: 0 }, "config.invalid"],
    [{ learningRate: -1 }, "config.invalid"],
  ])("refuses %j", (options, code) => {
    expect(() => planMethod(findMethod("finetune"), model, 8, options)).toThrow(expect.objectContaining({ code }));
  });
});

describe("a scope", () => {
  const norms = planMethod(findMethod("tent"), model, 8, {}).train!.parameters;

  test("narrows what a method trains to its parameters and rows, and leaves methods that train nothing alone", () => {
    const rows = new Map([
      [norms[0]!, [1, 2]],
      ["classifier.weight", [0]],
    ]);
    const scope = { parameters: [norms[0]!, norms[3]!, "classifier.weight"], rows };
    const { train } = planMethod(findMethod("tent"), model, 8, {}, { scope });
    expect(train!.parameters).toEqual([norms[0], norms[3]]);
    expect([...train!.rows!.keys()]).toEqual([norms[0]]);
    expect(planMethod(bn, model, 8, {}, { scope })).toEqual(planMethod(bn, model, 8, {}));
  });

  test("that leaves nothing is refused", () => {
    const narrow = () => planMethod(findMethod("tent"), model, 8, {}, { scope: { parameters: ["classifier.weight"] } });
    expect(narrow).toThrow(expect.objectContaining({ code: "config.invalid" }));
  });

  test("keeps all else as it was, to the byte, whatever trains inside", async () => {
    const name = model.graph.nodes.find(({ op }) => op === "Conv")!.inputs[1]!;
    const { model: adapted } = await run(findMethod("tent"), squares("plain", 24), {
      ...{ methodOptions: { trains: "features" }, withoutEvaluation: true },
      scope: { parameters: [name], rows: new Map([[name, [1]]]) },
    });
    const width = model.graph.initializers.get(name)!.data.length / model.graph.initializers.get(name)!.dims[0]!;
    for (const [key, { data }] of model.graph.initializers) {
      if (key.includes("running")) continue;
      const now = adapted.graph.initializers.get(key)!.data as Float32Array;
      const changed = [...now.keys()].filter((at) => now[at] !== (data as Float32Array)[at]);
      const allowed = key === name ? (at: number) => Math.floor(at / width) === 1 : () => false;
      expect(changed.every(allowed), key).toBe(true);
      expect(changed.length > 0, key).toBe(key === name);
    }
  });
});

describe("methods that use images of the source", () => {
  test.each(METHODS.filter(({ source }) => source !== undefined).map((method) => [method.name, method] as const))(
    "%s asks for a batch of them",
    async (_, method) => {
      for (const source of [undefined, { domain: squares("home", 7) }])
        await expect(run(method, squares("plain", 8), { source })).rejects.toMatchObject({ code: "config.invalid" });
    },
  );
});

describe("online methods", () => {
  const stream = squares("stream", 32, { seed: 6 });
  const online = async (options: Record<string, unknown>): Promise<{ report: DomainReport; model: Model }> =>
    run(findMethod("tent"), stream, { methodOptions: { learningRate: 0.05, ...options } });

  test("start again every so many batches where asked, the first one included", async () => {
    const [plain, once] = [await online({}), await online({ resetEvery: 4 })];
    expect(writeModel(once.model)).toEqual(writeModel(plain.model));
    const each = await online({ resetEvery: 1 });
    expect(writeModel(each.model)).not.toEqual(writeModel(plain.model));
  });

  test("learn the same whichever prediction they serve", async () => {
    const models: Model[] = [];
    for (const serves of ["before", "after", "stored"]) models.push((await online({ serves })).model);
    for (const adapted of models) expect(writeModel(adapted)).toEqual(writeModel(models[0]!));
  });

  test("take several steps on a batch where asked", async () => {
    expect(writeModel((await online({ stepsPerBatch: 2 })).model)).not.toEqual(writeModel((await online({})).model));
  });
});

describe("the collapse guard", () => {
  /** At this rate entropy minimisation ends in one class within a few steps. */
  const options = { methodOptions: { learningRate: 0.05, trains: "all" } };
  const stream = squares("long", 160, { seed: 12 });

  test("starts a collapsed method again from the source, and counts it", async () => {
    const guarded = (await run(findMethod("tent"), stream, options)).report;
    expect(guarded.collapses).toBeGreaterThan(0);
    const free = (await run(findMethod("tent"), stream, { ...options, withoutGuard: true })).report;
    expect(free.collapses).toBe(0);
  });

  test("lets a stream of one class be", async () => {
    const single = squares("single", 80, { seed: 12, label: () => 1 });
    expect((await run(findMethod("tent"), single)).report.collapses).toBe(0);
  });
});
