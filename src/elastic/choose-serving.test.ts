import { beforeAll, expect, test } from "vitest";
import { squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { findMethod, train } from "../adapt/index.js";
import { isLimberError } from "../base/index.js";
import { addGates, buildTaskNetwork, type Model } from "../graph/index.js";
import { adaptDomains, type ElasticDomain, type ElasticOptions } from "./adapt-domains.js";
import { MasterVersions } from "./versions.js";

const dark = squares("dark", 64, { seed: 3, level: (x) => x * 0.8 });
const OPTIONS = {
  ...{ preprocessing: TINY_PREPROCESSING, batchSize: 16, threads: 1, seed: 1, sparsity: 0.5 },
  ...{ method: findMethod("bn"), relevance: "l1", judgedImages: 48 },
} as const satisfies ElasticOptions;

let trained: Model;
beforeAll(async () => {
  const lessons = squares("clear", 128, { seed: 4 });
  const options = { preprocessing: TINY_PREPROCESSING, epochs: 8, batchSize: 16, threads: 1, seed: 2 };
  ({ model: trained } = await train(tinyNetwork(), lessons, options));
});

async function serve(master: Model, fallback: Model | undefined): Promise<ElasticDomain> {
  for await (const each of adaptDomains(new MasterVersions(addGates(master)), [dark], { ...OPTIONS, fallback }))
    return each;
  throw new Error("one domain");
}

test("a surrogate that answers unlike the fallback with the domain's statistics does not serve it", async () => {
  const { model, serving } = await serve(tinyNetwork(7), trained);
  expect(model).toBe(trained);
  expect(serving).toMatchObject({ served: "fallback" });
  expect(serving!.fallback).toBeGreaterThan(serving!.surrogate);
  expect(serving!.milliseconds).toBeGreaterThan(0);
});

test("a surrogate serves where the fallback knows the domain less well, or where there is none", async () => {
  const half = { ...OPTIONS, sparsity: 0 };
  for await (const { model, serving } of adaptDomains(new MasterVersions(addGates(trained)), [dark], {
    ...half,
    fallback: trained,
  })) {
    // all filters, with statistics of the domain: what the judge itself is, but for its batches
    expect(serving).toMatchObject({ served: "surrogate" });
    expect(serving!.surrogate).toBeGreaterThan(0.9);
    expect(model).not.toBe(trained);
  }
  expect((await serve(trained, undefined)).serving).toBeUndefined();
});

test("a fallback without batch normalization is refused: nothing could judge", async () => {
  const vit = buildTaskNetwork({ backbone: "vit", task: "classification", imageSize: 16, classes: 4, width: 0.25 });
  const refused = serve(trained, vit).catch((error: unknown) => error);
  expect(await refused).toSatisfy((error) => isLimberError(error, "method.unsuitable"));
});
