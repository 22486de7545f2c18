import { afterAll, describe, expect, it } from "vitest";
import { noiseBatch, smallNetwork, tinyNetwork } from "../../test/helpers/tiny.js";
import {
  adam,
  averaged,
  crossEntropy,
  leadingRows,
  type Model,
  parametersOf,
  restored,
  sgd,
  weightsOf,
  writeModel,
} from "../graph/index.js";
import { createMachine, KeptTrainers, type RunTensor, Trainer, type TrainerOptions } from "./node.js";

const machine = createMachine();
afterAll(() => machine[Symbol.asyncDispose]());

const [first, second] = [smallNetwork(1), smallNetwork(2)];
const names = parametersOf(first).map(({ name }) => name);
const { images, targets } = noiseBatch(6);
const SETTINGS = { learningRate: 0.05, statisticsMomentum: 0.3 };

const options = (change: Partial<NonNullable<TrainerOptions["train"]>> = {}): TrainerOptions => ({
  ...{ machine, threads: 1, statistics: { sourceWeight: 0.5, variance: "unbiased" } },
  train: { loss: crossEntropy(), optimizer: sgd({ momentum: 0.9 }), parameters: names.slice(2, -2), ...change },
});

const CASES: readonly (readonly [string, TrainerOptions])[] = [
  ["all of some weights", options()],
  ["rows without a gap", options({ rows: leadingRows(first, 0.3, names.slice(2, -2)) })],
  ["rows with gaps", options({ rows: new Map(names.slice(2, -2).map((name) => [name, [0, 2, 3]])) })],
  ["an average that starts as a copy", options({ optimizer: averaged(adam(), { decay: 0.9 }) })],
  ["weights that fall back to the start", options({ optimizer: restored(sgd()) })],
  ["nothing", { machine, threads: 1, statistics: { sourceWeight: 0, variance: "unbiased" } }],
];

/** Two steps, and what the model has come to. */
async function run(trainer: Trainer, { train }: TrainerOptions): Promise<[number[], Uint8Array]> {
  const restored = train?.optimizer.name.startsWith("restored") ? train.parameters : [];
  const inputs = Object.fromEntries(restored.map((name) => [`restore:${name}`, everyThird(trainer.model, name)]));
  const found: number[] = [];
  for (let i = 0; i < 2; i++) {
    const { prediction } = await trainer.step({ images, targets, inputs }, SETTINGS);
    found.push(...(prediction.data as Float32Array));
  }
  for (const weights of ["current", "source"])
    found.push(...((await trainer.predict(images, { weights })).prediction.data as Float32Array));
  return [found, writeModel(await trainer.exportModel())];
}

function everyThird({ graph }: Model, name: string): RunTensor {
  const { dims, data } = graph.initializers.get(name)!;
  return { dtype: "float32", dims, data: new Float32Array(data.length).map((_, i) => (i % 3 === 0 ? 1 : 0)) };
}

describe("Trainer.adopt", () => {
  it.each(CASES)("goes on with another model as if made for it, where what trains is %s", async (_, settings) => {
    const exchangeable = { ...settings, exchangeable: true };
    await using trainer = Trainer.create(first, exchangeable);
    await using fresh = Trainer.create(second, exchangeable);
    await using plain = Trainer.create(second, settings);
    await run(trainer, settings);
    expect(await trainer.adopt(second)).toBe(true);
    const [found, bytes] = await run(trainer, settings);
    expect([found, bytes]).toEqual(await run(fresh, settings));
    const [expected] = await run(plain, settings);
    found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
  });

  it("refuses another architecture, and numbers that are no weights, and stays as it was", async () => {
    await using trainer = Trainer.create(first, { ...options(), exchangeable: true });
    const [name] = [...first.graph.initializers.keys()].filter((key) => !weightsOf(first).includes(key));
    expect(name).toBeUndefined();
    expect(await trainer.adopt(tinyNetwork())).toBe(false);
    const renamed: Model = {
      ...second,
      graph: { ...second.graph, nodes: second.graph.nodes.map((node) => ({ ...node, name: `${node.name}'` })) },
    };
    expect(await trainer.adopt(renamed)).toBe(false);
    expect(trainer.model).toBe(first);
    await using plain = Trainer.create(first, options());
    expect(await plain.adopt(second)).toBe(false);
  });
});

describe("KeptTrainers", () => {
  it("keeps one trainer for a key and an architecture, and gives back the one unused longest", async () => {
    await using trainers = new KeptTrainers(machine);
    const settings = { threads: 1, statistics: "fixed" as const };
    const one = await trainers.take("a", first, settings);
    await one.step({ images });
    const two = await trainers.take("a", second, settings);
    expect(two).toBe(one);
    expect(two.model).toBe(second);
    expect(await trainers.take("a", tinyNetwork(), settings)).not.toBe(one);
    await expect(one.step({ images })).rejects.toMatchObject({ code: "run.failed" });
    const kept = await trainers.take("b", first, settings);
    for (let i = 0; i < 8; i++) await trainers.take(`other ${i}`, first, settings);
    expect(await trainers.take("b", first, settings)).not.toBe(kept);
  });
});
