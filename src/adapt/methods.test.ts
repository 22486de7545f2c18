import { beforeAll, describe, expect, test } from "vitest";
import { maxDifference } from "../../test/helpers/parity.js";
import { CLASSES, damaged, foldedNetwork, squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { isLimberError } from "../base/index.js";
import { type Model, readModel, writeModel } from "../graph/index.js";
import { createMachine, Predictor } from "../run/node.js";
import { batches, type Domain } from "../vision/index.js";
import { adapt, type AdaptOptions, type DomainReport } from "./adapt.js";
import { evaluate } from "./evaluate.js";
import { type Method, planMethod } from "./method.js";
import { bn, findMethod, METHODS } from "./methods/index.js";

const model = tinyNetwork();
const NEEDS_NORM = ["bn", "tent", "finetune"];
const needsLabels = ({ labels }: Method): boolean => labels === "required";

async function run(
  method: Method,
  domain: Domain,
  options: Partial<AdaptOptions> = {},
): Promise<{ report: DomainReport; model: Model }> {
  const result = await adapt(model, [domain], {
    ...{ method, preprocessing: TINY_PREPROCESSING, batchSize: 8, labelled: 8, threads: 1, seed: 3 },
    ...(needsLabels(method) && { methodOptions: { epochs: 2 } }),
    ...options,
  });
  return { report: result.domains[0]!, model: result.model };
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
      else expect(plan().statistics).toBe("fixed");
    },
  );

  test("gives the same bytes and figures for the same seed, and starts every domain from the source", async () => {
    const { domains, model: last } = await adapt(model, [squares("before", 16, { seed: 9 }), domain], {
      ...{ method, preprocessing: TINY_PREPROCESSING, batchSize: 8, labelled: 8, threads: 1, seed: 3 },
      ...(needsLabels(method) && { methodOptions: { epochs: 2 } }),
    });
    // Which samples are labelled depends on the place in the stream, so only methods without labels see the same data.
    if (!needsLabels(method)) expect(writeModel(last)).toEqual(writeModel(first.model));
    const timeless = (report: DomainReport): DomainReport => ({ ...report, adaptSeconds: 0 });
    if (!needsLabels(method)) expect(timeless(domains[1]!)).toEqual(timeless(first.report));
    expect(writeModel((await run(method, domain)).model)).toEqual(writeModel(first.model));
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
    expect(() => findMethod("magic")).toThrow(/source, bn, tent, finetune/);
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
