import { expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { pickFilters, scopeOf } from "../src/elastic/index.js";
import {
  addGates,
  attachPatches,
  boostsOf,
  choose,
  evaluate,
  patchParameters,
  prepareModel,
  splitBackbone,
  SurrogateCutter,
} from "../src/graph/index.js";
import { describeContract, type Subject } from "./helpers/method-contract.js";
import { maxDifference } from "./helpers/parity.js";
import { noiseBatch, smallNetwork } from "./helpers/tiny.js";

const network = smallNetwork();

/** Half of the channels of a gated network, each with a factor, of which half may train. */
function cutSurrogate(): Subject {
  const master = addGates(network, { initial: "he", seed: 3 });
  const cutter = new SurrogateCutter(master);
  const { model, filters } = cutter.cut(master, choose(cutter.scoresBy(master, "random", 5), 0.5, { boosted: true }));
  const order = Object.fromEntries(filters.map(({ group, size }) => [group, Array<number>(size).fill(0)]));
  const chosen = pickFilters(order, { share: 0.5, strategy: "random", random: new Random(2) });
  return {
    ...{ name: "a surrogate", model: prepareModel(model), scope: scopeOf(model, filters, chosen) },
    options: [{ trains: "features" }, { scope: "all" }],
  };
}

/** A network with a patch behind its block; nothing but that trains. */
function patch(): Subject {
  const model = prepareModel(attachPatches(network, splitBackbone(network, { groups: 1 }), { seed: 1 }));
  return {
    ...{ name: "a patched model", model, scope: { parameters: patchParameters(model) } },
    options: [{ trains: "features" }, { scope: "all" }],
  };
}

const [surrogate, patched] = [cutSurrogate(), patch()];

test("the models are what they are meant to be: a surrogate with boosts and rows, a patch that changes nothing yet", () => {
  expect(boostsOf(surrogate.model).length).toBeGreaterThan(0);
  expect(surrogate.scope!.rows!.size).toBeGreaterThan(0);
  expect(patched.scope!.parameters!.length).toBe(6);
  const { images } = noiseBatch(2);
  const run = (model: typeof network) => evaluate(model, { input: { ...images, data: images.data as Float32Array } });
  const outputs = [network, patched.model].map((model) => [...run(model).values()][0]!.data);
  expect(maxDifference(outputs[0]!, outputs[1]!)).toBe(0);
});

describeContract(surrogate);
describeContract(patched);
