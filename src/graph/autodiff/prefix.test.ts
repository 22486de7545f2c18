import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { Random, sizeOf, type Tensor, tensorOf } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { buildNetwork } from "../networks/index.js";
import { toReference } from "../ops/index.js";
import { inferShapes, lastLayersOf, prepareModel } from "../passes/index.js";
import { evaluate } from "../reference/index.js";
import { crossEntropy, findFrontier, modelFrom, modelUpTo, sgd, type StepOptions } from "./index.js";
import { minimumCut } from "./prefix-cut.js";

const random = new Random(3);
const draw = (dims: readonly number[]): Tensor =>
  tensorOf(
    "float32",
    dims,
    Array.from({ length: sizeOf(dims) }, () => random.normal()),
  );
const training = (parameters: readonly string[], statistics: StepOptions["statistics"] = "fixed"): StepOptions => ({
  statistics,
  train: { loss: crossEntropy(), optimizer: sgd(), parameters },
});

const conv = (from: string, to: string, weight: string) =>
  node("Conv", [from, weight], [to], { auto_pad: attr.string("SAME_UPPER") });

/** A cheap expansion in the middle, and a skip connection around it into the last layer. */
const skips = inferShapes(
  modelOf({
    inputs: { x: [2, 64, 8, 8] },
    outputs: ["y"],
    initializers: {
      ...{ heavy: draw([64, 64, 3, 3]), wide: draw([256, 1, 1, 1]), narrow: draw([64, 256, 1, 1]) },
      last: draw([5, 128, 3, 3]),
    },
    nodes: [
      conv("x", "h", "heavy"),
      node("Relu", ["h"], ["first"]),
      node("Conv", ["first", "wide"], ["m"], { group: attr.int(64) }),
      node("Relu", ["m"], ["middle"]),
      conv("middle", "n", "narrow"),
      node("Relu", ["n"], ["second"]),
      node("Concat", ["first", "second"], ["both"], { axis: attr.int(1) }),
      conv("both", "z", "last"),
      node("GlobalAveragePool", ["z"], ["pooled"]),
      node("Flatten", ["pooled"], ["y"]),
    ],
  }),
);

const network = (name: string, batch = 2): Model =>
  inferShapes(prepareModel(buildNetwork(name, { imageSize: 32, classes: 10, width: 0.25 })), { batch });
const BATCH_STATISTICS = { sourceWeight: 0, variance: "unbiased" } as const;

describe("the frozen part of a model", () => {
  test.each([
    ["ends before the first trained layer", ["last"], ["both"]],
    ["leaves out a cheap layer that would widen what is kept", ["narrow"], ["first"]],
    ["is nothing when the first layer trains", ["heavy"], undefined],
  ])("%s", (_, parameters, frontier) => {
    expect(findFrontier(skips, training(parameters))).toEqual(frontier);
  });

  test("is kept in several values where skip connections lead around the trained layer", () => {
    const { graph } = skips;
    const nodes = graph.nodes.map((n) =>
      n.op === "Concat" ? node("Concat", ["first", "third"], ["both"], n.attributes) : n,
    );
    nodes.splice(6, 0, conv("second", "third", "trained"));
    const initializers = new Map([...graph.initializers, ["trained", draw([64, 64, 1, 1])] as const]);
    const model = inferShapes({ ...skips, graph: { ...graph, nodes, initializers } });
    const frontier = findFrontier(model, training(["trained"]))!;
    expect(frontier.toSorted()).toEqual(["first", "second"]);
    const { graph: rest } = modelFrom(model, frontier, ["trained"]);
    expect(rest.inputs.map(({ name, dims }) => [name, dims])).toEqual(frontier.map((name) => [name, [2, 64, 8, 8]]));
    expect([...rest.initializers.keys()]).toEqual(["last", "trained"]);
  });

  test.each(["resnet20", "mobilenetv2", "vgg11"])("and the rest of %s compute what the whole does", (name) => {
    const model = network(name);
    const parameters = lastLayersOf(model, 1 / 3).map((parameter) => parameter.name);
    const frontier = findFrontier(model, training(parameters))!;
    const rest = modelFrom(model, frontier, parameters);
    const images = draw(model.graph.inputs[0]!.dims as number[]);
    const feeds = new Map([[model.graph.inputs[0]!.name, toReference(images)]]);
    const kept = evaluate(modelUpTo(model, frontier), feeds);
    const found = evaluate(rest, kept);
    expect(found).toEqual(evaluate(model, feeds));
    expect(parameters.every((parameter) => rest.graph.initializers.has(parameter))).toBe(true);
  });

  test("ends before the first statistics of the batch, unless only those of trained layers are", () => {
    const model = network("resnet20");
    const head = lastLayersOf(model, 0).map(({ name }) => name);
    const frontierWith = (statistics: StepOptions["statistics"]) => findFrontier(model, training(head, statistics));
    expect(frontierWith(BATCH_STATISTICS)).toBeUndefined();
    expect(frontierWith({ ...BATCH_STATISTICS, layers: "trained" })).toEqual(frontierWith("fixed"));
    expect(frontierWith("fixed")).toHaveLength(1);
  });

  test("ends before an op that is not in the catalog, for it may draw random numbers", () => {
    const { graph } = skips;
    const nodes = graph.nodes.map((n) => (n.inputs[0] === "m" ? node("RandomNormalLike", ["m"], ["middle"]) : n));
    const types = new Map([...graph.types, ["middle", graph.types.get("m")!] as const]);
    const model = { ...skips, graph: { ...graph, nodes, types } };
    expect(findFrontier(model, training(["last"]))).toEqual(["first"]);
  });

  test("is nothing where nothing trains: there is no step to shorten", () => {
    expect(findFrontier(skips, { statistics: "fixed" })).toBeUndefined();
  });
});

describe("a minimum cut", () => {
  test("costs no more than any other, found by trying all", () => {
    const capacity = fc.integer({ min: 0, max: 9 });
    const edge = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }), capacity);
    fc.assert(
      fc.property(fc.array(edge, { maxLength: 14 }), (edges) => {
        const costOfSide = (side: ReadonlySet<number>): number =>
          edges.reduce((sum, [from, to, cost]) => (side.has(from) && !side.has(to) ? sum + cost : sum), 0);
        const sides = Array.from(
          { length: 16 },
          (_, bits) => new Set([0, ...[2, 3, 4, 5].filter((v) => bits & (1 << (v - 2)))]),
        );
        const found = minimumCut(edges, 0, 1);
        expect(found.has(0) && !found.has(1)).toBe(true);
        expect(costOfSide(found)).toBe(Math.min(...sides.map(costOfSide)));
      }),
      { numRuns: 100 },
    );
  });
});
