import { afterAll, describe, expect, test } from "vitest";
import { describeContract, settingsOf } from "../../test/helpers/method-contract.js";
import { maxDifference } from "../../test/helpers/parity.js";
import { foldedNetwork, smallNetwork, squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { type Model, writeModel } from "../graph/index.js";
import { createMachine } from "../run/node.js";
import type { Domain } from "../vision/index.js";
import { adapt } from "./adapt.js";
import type { AdaptOptions, DomainReport } from "./options.js";
import { type Method, planMethod } from "./method.js";
import { bn, findMethod, METHODS } from "./methods/index.js";

const machine = createMachine();
afterAll(() => machine[Symbol.asyncDispose]());

const model = tinyNetwork();
const NEEDS_NORM = ["bn", "tent", "shot-im", "eta", "eata", "delta", "sar", "finetune", "rotta"];

async function run(
  method: Method,
  domain: Domain,
  options: Partial<AdaptOptions> = {},
): Promise<{ report: DomainReport; model: Model }> {
  const result = await adapt(model, [domain], {
    ...{ method, machine, preprocessing: TINY_PREPROCESSING, batchSize: 8, labelled: 8, threads: 1, seed: 3 },
    ...settingsOf(method),
    ...options,
  });
  return { report: result.domains[0]!, model: result.model };
}

describeContract({ name: "a plain model", model: smallNetwork() });

describe.each(METHODS.map((method) => [method.name, method] as const))("method %s", (name, method) => {
  test("has a name to be found by and a summary", () => {
    expect(findMethod(name)).toBe(method);
    expect(method.summary).toMatch(/^[^A-Z].*[^.]$/);
  });

  test(
    NEEDS_NORM.includes(name) ? "refuses a model without normalization" : "takes a model without normalization",
    () => {
      const plan = () => planMethod(method, foldedNetwork(), 8, {});
      if (NEEDS_NORM.includes(name)) expect(plan).toThrow(expect.objectContaining({ code: "method.unsuitable" }));
      else expect(plan).not.toThrow();
    },
  );
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

  test("mixes in the biased variance of the batch where asked", () => {
    expect(planMethod(bn, model, 8, { prior: 8, variance: "biased" })).toEqual({
      statistics: { sourceWeight: 0.5, variance: "biased" },
    });
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
