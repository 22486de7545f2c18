import { afterAll, describe, expect, test } from "vitest";
import {
  adapt,
  adaptEach,
  type AdaptedDomain,
  type AdaptOptions,
  evaluate,
  type Method,
  METHODS,
  MethodRun,
  planMethod,
  type StreamBatch,
} from "../../src/adapt/index.js";
import { isLimberError, Random } from "../../src/base/index.js";
import { type Model, outputAxisOf, parametersOf, readModel, writeModel } from "../../src/graph/index.js";
import { createMachine, Predictor, Trainer } from "../../src/run/node.js";
import { type Batch, batches, type Domain } from "../../src/vision/index.js";
import { CLASSES, damaged, squares, TINY_PREPROCESSING } from "./tiny.js";

/** A kind of model that methods have to work on. */
export interface Subject {
  readonly name: string;
  readonly model: Model;
  /** What may train, where not all that the method would. */
  readonly scope?: AdaptOptions["scope"];
  /** Options that let a method reach what may train; each is given to methods that have it. */
  readonly options?: readonly object[];
}

const BATCH = 8;
/** Of these, one is left for a second batch. */
const LABELLED = BATCH + 1;
/** What keeps a run short, where a method has it. */
const SHORT = [{ epochs: 2 }, { views: 2 }, { capacity: 8 }];

const needsLabels = ({ labels }: Method): boolean => labels === "required";

/** What a run is given besides the model: options for a short one, and images of the source where the method uses some. */
export function settingsOf(method: Method, { scope, options = [] }: Partial<Subject> = {}): Partial<AdaptOptions> {
  const known = [...SHORT, ...options].filter((option) => method.options.safeParse(option).success);
  return {
    ...{ methodOptions: Object.assign({}, ...known) as unknown, scope },
    ...(method.source && { source: { domain: squares("home", 2 * BATCH, { seed: 4 }) } }),
  };
}

/** All that the contract asks of streams, in one course: a method starts each domain from the source, so none knows of another. */
function streams(method: Method): Readonly<Record<string, Domain>> {
  const count = needsLabels(method) ? 2 * BATCH + 1 : LABELLED;
  return {
    plain: squares("plain", 2 * BATCH),
    "a last batch of one image": squares("rest", count),
    "pictures without any contrast": squares("constant", 2 * BATCH, { level: () => 128 }),
    "a single class": squares("one class", 2 * BATCH, { label: () => 2 }),
    "levels far out of range": squares("huge", 2 * BATCH, { level: (x) => x * 1e30 }),
    // All but one of the second batch.
    damaged: damaged(squares("broken", 2 * BATCH), {
      ...{ 8: "nan", 9: "unreadable", 10: "unreadable", 11: "unreadable" },
      ...{ 13: "unreadable", 14: "unreadable", 15: "nan" },
    }),
    "plain again": squares("plain", 2 * BATCH),
  };
}
const ROBUST = [
  "a last batch of one image",
  "pictures without any contrast",
  "a single class",
  "levels far out of range",
] as const;

interface Course {
  readonly domains: Readonly<Record<string, AdaptedDomain>>;
  /** Which samples were told to be skipped, by domain. */
  readonly told: ReadonlyMap<string, readonly number[]>;
}

/** What holds for every method, present and future, on a kind of model: a suite for each. */
export function describeContract(subject: Subject): void {
  const { model } = subject;
  const machine = createMachine();
  afterAll(() => machine[Symbol.asyncDispose]());
  const optionsFor = (method: Method): AdaptOptions => ({
    ...{
      method,
      machine,
      preprocessing: TINY_PREPROCESSING,
      batchSize: BATCH,
      labelled: LABELLED,
      threads: 1,
      seed: 3,
    },
    ...settingsOf(method, subject),
  });

  async function takeCourse(method: Method): Promise<Course> {
    const given = streams(method);
    const [names, domains, told] = [Object.keys(given), [] as AdaptedDomain[], new Map<string, number[]>()];
    const onSkipped: AdaptOptions["onSkipped"] = ({ domain, index }) =>
      told.set(domain, [...(told.get(domain) ?? []), index]);
    const course = adaptEach(model, Object.values(given), { ...optionsFor(method), onSkipped });
    for await (const domain of course) domains.push(domain);
    return { domains: Object.fromEntries(names.map((name, i) => [name, domains[i]!])), told };
  }

  describe.each(METHODS.map((method) => [method.name, method] as const))(`%s on ${subject.name}`, (name, method) => {
    let taken: Promise<Course> | undefined;
    const course = (): Promise<Course> => (taken ??= takeCourse(method));
    const after = async (domain: string): Promise<AdaptedDomain> => (await course()).domains[domain]!;

    test("refuses an option that it does not have, naming itself", () => {
      expect(() => planMethod(method, model, BATCH, { nonsense: 1 })).toThrow(
        expect.toSatisfy((e) => isLimberError(e, "config.invalid") && e.message.includes(`"${name}"`)),
      );
    });

    test("gives the same bytes and figures for the same seed, and starts every domain from the source", async () => {
      const [first, last] = [await after("plain"), await after("plain again")];
      // Which samples are labelled depends on the place in the stream, so only methods without labels see the same data.
      if (!needsLabels(method)) {
        expect(writeModel(last.model)).toEqual(writeModel(first.model));
        expect({ ...last.report, adaptSeconds: 0 }).toEqual({ ...first.report, adaptSeconds: 0 });
      }
      const options = { ...optionsFor(method), withoutEvaluation: true };
      const { model: again, domains } = await adapt(model, [streams(method).plain!], options);
      expect(writeModel(again)).toEqual(writeModel(first.model));
      expect(domains[0]!.online).toEqual(first.report.online);
    });

    test("is as at the start after a reset, to the byte", async () => {
      const { methodOptions, scope } = settingsOf(method, subject);
      const plan = planMethod(method, model, BATCH, methodOptions, { scope });
      await using trainer = Trainer.create(model, { ...plan, machine, threads: 1 });
      const [one, two] = await readBatches(streams(method).plain!);
      const given = (batch: Batch): StreamBatch =>
        needsLabels(method) ? labelledOf(batch) : { ...labelledOf(batch), targets: undefined };
      const createRun = (): MethodRun =>
        new MethodRun(plan, trainer, {
          ...{ model, preprocessing: TINY_PREPROCESSING, random: new Random(3), source: repeat(labelledOf(two)) },
        });
      const pass = () => streamOnce([given(one), given(two)]);
      const run = createRun();
      await run.beginPass(0, pass);
      const { prediction } = await run.step(given(one));
      await run.step(given(two));
      await run.reset();
      const exported = run.exportModel(await trainer.exportModel({ weights: plan.exports }));
      expect(writeModel(exported)).toEqual(writeModel(model));
      const again = createRun();
      await again.beginPass(0, pass);
      expect((await again.step(given(one))).prediction).toEqual(prediction);
    });

    test("leaves a file that loads and predicts as counted", async () => {
      const { model: adapted, report } = await after("plain");
      await using predictor = await Predictor.create(machine, readModel(writeModel(adapted)), { threads: 1 });
      const [batch] = await readBatches(streams(method).plain!);
      expect((await predictor.predict(batch.images)).output.dims).toEqual([BATCH, CLASSES]);
      const reading = { batchSize: BATCH, preprocessing: TINY_PREPROCESSING };
      const tally = await evaluate(predictor, streams(method).plain!, reading);
      expect(tally.total).toBe(2 * BATCH);
      if (!needsLabels(method)) expect(report.after).toEqual(tally);
    });

    test("counts every sample once", async () => {
      const { source, online, after: measured } = (await after("plain")).report;
      const held = needsLabels(method) ? 2 * BATCH - LABELLED : 2 * BATCH;
      expect([online.total, source.total, measured.total]).toEqual([
        ...[needsLabels(method) ? LABELLED : 2 * BATCH, held, held],
      ]);
    });

    test("leaves alone, to the byte, what is not in its scope", async () => {
      const { methodOptions, scope } = settingsOf(method, subject);
      const { train } = planMethod(method, model, BATCH, methodOptions, { scope });
      if (!train) return;
      const adapted = (await after("plain")).model.graph.initializers;
      for (const { name: key, tensor } of parametersOf(model)) {
        const [before, now] = [tensor.data as Float32Array, adapted.get(key)!.data as Float32Array];
        const changed = [...before.keys()].filter((at) => before[at] !== now[at]);
        const rows = train.rows?.get(key);
        const trains = train.parameters.includes(key);
        const axis = rows ? outputAxisOf(model.graph, key) : 0;
        const inner = tensor.dims.slice(axis + 1).reduce((n, d) => n * d, 1);
        const allowed = rows && new Set(rows);
        const wrong = changed.filter(
          (at) => !trains || (allowed && !allowed.has(Math.floor(at / inner) % tensor.dims[axis]!)),
        );
        expect(wrong, key).toEqual([]);
      }
    });

    test.each(ROBUST)("stays finite on %s", async (stream) => {
      const { report, model: adapted } = await after(stream);
      expect(isFinite(adapted)).toBe(true);
      expect(report.refused).toBeLessThanOrEqual(report.steps);
    });

    test("stays finite on batches of one image", async () => {
      const options = { ...optionsFor(method), batchSize: 1, labelled: 2, withoutEvaluation: true };
      const { model: adapted, domains } = await adapt(model, [squares("single", 2)], options);
      expect(isFinite(adapted)).toBe(true);
      expect(domains[0]!.online.total).toBe(2);
    });

    test("skips what is unreadable or not a number, tells each once, and keeps finite weights", async () => {
      const { report, model: adapted } = await after("damaged");
      expect(isFinite(adapted)).toBe(true);
      expect(report.refused).toBe(0);
      expect((await course()).told.get("broken")!.toSorted((a, b) => a - b)).toEqual([8, 9, 10, 11, 13, 14, 15]);
      if (!needsLabels(method)) expect(report.online).toMatchObject({ total: 9, skipped: 7 });
    });
  });
}

const isFinite = ({ graph }: Model): boolean =>
  [...graph.initializers.values()].every(({ data }) => (data as Float32Array).every(Number.isFinite));

async function readBatches(domain: Domain): Promise<[Batch, Batch]> {
  const all: Batch[] = [];
  for await (const batch of batches(domain, { batchSize: BATCH, preprocessing: TINY_PREPROCESSING })) all.push(batch);
  return [all[0]!, all[1]!];
}

function labelledOf({ images, labels, indices }: Batch): StreamBatch {
  const targets = { dtype: "int64", dims: [labels.length], data: BigInt64Array.from(labels, BigInt) } as const;
  return { images, targets, indices };
}

async function* streamOnce(all: readonly StreamBatch[]): AsyncGenerator<StreamBatch> {
  for (const batch of all) yield await Promise.resolve(batch);
}

async function* repeat(batch: StreamBatch): AsyncGenerator<StreamBatch, never> {
  for (;;) yield await Promise.resolve(batch);
}
