import { afterAll, describe, expect, test } from "vitest";
import { noiseBatch, tinyNetwork } from "../../test/helpers/tiny.js";
import { Random, scalar, type Tensor, toNumbers } from "../base/index.js";
import {
  addGates,
  buildStep,
  choose,
  entropy,
  evaluate,
  headOf,
  inferShapes,
  informationMaximisation,
  sgd,
  SurrogateCutter,
} from "../graph/index.js";
import { createMachine, Trainer } from "../run/node.js";
import { measureSensitivity, pickFilters, scopeOf, type Strategy } from "./sensitivity.js";

const machine = createMachine();
afterAll(() => machine[Symbol.asyncDispose]());

const master = addGates(tinyNetwork(), { initial: "he" });
const cutter = new SurrogateCutter(master);
const { model, filters } = cutter.cut(master, choose(cutter.scoresBy(master, "l1"), 0.5, { boosted: true }));
const { images } = noiseBatch(8);

describe("measureSensitivity", () => {
  test("is |∂H/∂γ| + |∂H/∂β| of each filter, as float64 has it", async () => {
    const scores = await measureSensitivity(model, filters, images, { machine, threads: 1 });
    const judges = filters.map(({ members }) =>
      members.filter(({ initializer }) => /norm1\.(weight|bias)$/.test(initializer)),
    );
    const parameters = judges.flat().map(({ initializer }) => initializer);
    const step = buildStep(inferShapes(model, { batch: 8 }), {
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: { loss: entropy, optimizer: sgd(), parameters },
    });
    const feeds = new Map<string, Tensor>(step.state.map(({ input, initial }) => [input, initial]));
    feeds.set(step.inputs.data[0]!.name, images);
    for (const name of [step.inputs.learningRate!, step.inputs.statisticsMomentum!])
      feeds.set(name, scalar("float32", 0));
    const gradients = evaluate(step.model, feeds, { outputs: step.gradients });
    const largest = Math.max(...Object.values(scores).flat());
    expect(parameters.length).toBe(6);
    filters.forEach(({ group, size }, i) => {
      for (let unit = 0; unit < size; unit++) {
        const expected = judges[i]!.reduce((sum, { initializer }) => {
          const gradient = gradients.get(step.gradients[parameters.indexOf(initializer)]!)!;
          return sum + Math.abs(gradient.data[unit]!);
        }, 0);
        expect(Math.abs(scores[group]![unit]! - expected)).toBeLessThan(1e-4 * largest);
      }
    });
  });
});

describe("pickFilters", () => {
  const scores = { a: [0.1, 0.5, 0.3, 0.2, 0.4, 0], b: [1, 2] };
  const pick = (strategy: Strategy, share = 0.34) => pickFilters(scores, { share, strategy, random: new Random(1) });

  test("takes the most sensitive, the least sensitive, as many by chance, or all; at least one of each", () => {
    expect(pick("sensitive")).toEqual({ a: [1, 2, 4], b: [1] });
    expect(pick("inverse")).toEqual({ a: [0, 3, 5], b: [0] });
    expect(pick("all")).toEqual({ a: [0, 1, 2, 3, 4, 5], b: [0, 1] });
    expect(pick("random").a!.length).toBe(3);
    expect(pick("random")).toEqual(pick("random"));
    expect(pick("sensitive", 0)).toEqual({ a: [1], b: [1] });
    expect(pick("sensitive", 0.5).a!.length).toBe(3);
  });
});

describe("scopeOf", () => {
  test("trains the rows of the chosen filters, layers without a gate whole, and the classifier not at all", async () => {
    const chosen = pickFilters(await measureSensitivity(model, filters, images, { machine, threads: 1 }), {
      ...{ share: 0.2, strategy: "sensitive", random: new Random(1) },
    });
    const { parameters, rows } = scopeOf(model, filters, chosen);
    for (const { name } of headOf(model)) expect(parameters).not.toContain(name);
    expect(parameters!.filter((name) => name.endsWith(".boost")).length).toBe(3);
    const own = filters.flatMap(({ members }) => members.map(({ initializer }) => initializer));
    expect([...rows!.keys()].every((name) => own.includes(name))).toBe(true);
    expect(rows!.size).toBe(9); // of three gates: convolution, γ, β
    await using trainer = Trainer.create(model, {
      ...{ machine, threads: 1 },
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: {
        ...{ loss: informationMaximisation(), optimizer: sgd({ momentum: 0.9, weightDecay: 0.1 }) },
        ...{ parameters: parameters!, rows },
      },
    });
    for (let i = 0; i < 3; i++) await trainer.step({ images }, { learningRate: 0.05 });
    const after = (await trainer.exportModel()).graph.initializers;
    for (const { group, members } of filters)
      for (const { initializer, indices } of members) {
        const part = rows!.get(initializer);
        if (!part) continue;
        const [before, now] = [model.graph.initializers.get(initializer)!, after.get(initializer)!].map(toNumbers);
        const length = before!.length / model.graph.initializers.get(initializer)!.dims[0]!;
        const changed = indices.map(([row]) => {
          const of = (values: readonly number[]): readonly number[] => values.slice(row! * length, (row! + 1) * length);
          return of(before!).some((value, i) => value !== of(now!)[i]);
        });
        expect(changed.flatMap((moved, unit) => (moved ? [unit] : []))).toEqual(chosen[group]);
      }
  });
});
