import { describe, expect, it } from "vitest";
import { compareOutputs } from "../../../test/helpers/channels.js";
import { feedsOf, pictures, rowOf, scoresOf, shakenMaster } from "../../../test/helpers/gated.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { type Tensor, tensorOf, toNumbers } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import { costOf, inferShapes, parametersOf } from "../passes/index.js";
import { evaluate } from "../reference/index.js";
import {
  attachStatistics,
  boostsOf,
  choose,
  feedBack,
  foldBoosts,
  gatesOf,
  keptCount,
  openMaster,
  reuseFilters,
  selectStatistics,
  statisticsOf,
  SurrogateCutter,
  undoFeedback,
  unfoldBoosts,
} from "./index.js";

const images = pictures(3);
const trainedOf = (model: Model): Model => ({
  ...model,
  graph: {
    ...model.graph,
    initializers: new Map(
      [...model.graph.initializers].map(([name, value]) =>
        value.dtype === "float32" && value.dims.length > 0
          ? [
              name,
              tensorOf(
                "float32",
                value.dims,
                toNumbers(value).map((v) => v * 1.25 + 0.01),
              ),
            ]
          : [name, value],
      ),
    ),
  },
});

describe("SurrogateCutter", () => {
  it.each(["resnet8", "mobilenetv2", "mobilenetv3", "vit", "unet"])(
    "cuts a surrogate of %s that computes what the master computes for the chosen image",
    async (name) => {
      const master = shakenMaster(name);
      const image = rowOf(images, 1);
      const sparsity = 0.6;
      const choice = choose(await scoresOf(master, image, sparsity), sparsity, { boosted: true });
      const { model, filters } = new SurrogateCutter(master).cut(master, choice);
      for (const { group, size } of gatesOf(master).gates) {
        expect(choice.kept[group]!.length).toBe(keptCount(size, sparsity));
        expect(filters.find((each) => each.group === group)!.size).toBe(keptCount(size, sparsity));
      }
      const feeds = feedsOf(master, image);
      const told = feedsOf(master, image, [sparsity]);
      const expected = await runOrt(master, told);
      expect(compareOutputs(expected, await runOrt(model, feeds))).toBeLessThan(1e-4);
      expect(compareOutputs(expected, await runOrt(foldBoosts(model), feeds))).toBeLessThan(1e-4);
      if (name === "resnet8") expect(compareOutputs(evaluate(master, told), evaluate(model, feeds))).toBeLessThan(1e-6);
      const costs = [openMaster(master, 0), foldBoosts(model)].map((each) => costOf(inferShapes(each, { batch: 1 })));
      expect(costs[1]!.macs).toBeLessThan(0.8 * costs[0]!.macs);
      expect(costs[1]!.parameters).toBeLessThan(costs[0]!.parameters);
    },
  );

  it("gives another image other filters", async () => {
    const master = shakenMaster("resnet8", 1);
    const [a, b] = await Promise.all(
      [0, 1].map(async (row) => choose(await scoresOf(master, rowOf(images, row), 0.5), 0.5, { boosted: true }).kept),
    );
    expect(a).not.toEqual(b);
  });

  it("cuts from the cache what it would cut anew, with the weights of now", async () => {
    const master = shakenMaster("resnet8");
    const choice = choose(await scoresOf(master, rowOf(images, 0), 0.5), 0.5, { boosted: true });
    const cutter = new SurrogateCutter(master);
    expect(cutter.knows(choice)).toBe(false);
    cutter.cut(master, choice);
    expect(cutter.knows(choice)).toBe(true);
    const changed = trainedOf(master);
    expect(cutter.cut(changed, choice)).toEqual(new SurrogateCutter(changed).cut(changed, choice));
  });

  it("names the places of each filter in the weights of the surrogate", async () => {
    const master = shakenMaster("mobilenetv2");
    const choice = choose(await scoresOf(master, rowOf(images, 0), 0.5), 0.5, { boosted: false });
    const { model, filters } = new SurrogateCutter(master).cut(master, choice);
    const whole = openMaster(master, 0.5).graph.initializers;
    for (const { group, members } of filters)
      for (const { initializer, axis, indices } of members) {
        const [part, all] = [model.graph.initializers.get(initializer)!, whole.get(initializer)!];
        expect(indices.flat().sort((a, b) => a - b)).toEqual([...Array(part.dims[axis]).keys()]);
        if (part.dims.length === 1)
          expect(indices.map(([i]) => (part.data as Float32Array)[i!])).toEqual(
            choice.kept[group]!.map((unit) => (all.data as Float32Array)[unit]),
          );
      }
    expect(boostsOf(model)).toEqual([]);
  });

  it("refuses a model without gates", () => {
    expect(() => new SurrogateCutter(openMaster(shakenMaster("resnet8"), 0))).toThrow(
      "a model with gates, got one without",
    );
  });
});

describe("foldBoosts", () => {
  it.each(["resnet8", "mobilenetv3", "vit"])("is undone by unfoldBoosts in %s", async (name) => {
    const master = shakenMaster(name);
    const scores = Object.entries(await scoresOf(master, rowOf(images, 0), 0.5)).map(([group, all]) => [
      group,
      all.map((v) => v + 0.1),
    ]);
    const choice = choose(Object.fromEntries(scores) as Record<string, number[]>, 0.5, { boosted: true });
    const { model } = new SurrogateCutter(master).cut(master, choice);
    const folded = foldBoosts(model);
    expect(parametersOf(folded).length).toBeLessThan(parametersOf(model).length);
    const back = unfoldBoosts(folded, model);
    expect(back.graph.nodes).toEqual(model.graph.nodes);
    const differences = [...model.graph.initializers].flatMap(([key, value]) => {
      const found = toNumbers(back.graph.initializers.get(key)!);
      return toNumbers(value).map((before, i) =>
        before === found[i] ? 0 : Math.abs(before - found[i]!) / Math.abs(before),
      );
    });
    expect(differences.reduce((a, b) => Math.max(a, b))).toBeLessThanOrEqual(2 ** -22);
  });
});

describe("feedBack", async () => {
  const master = attachStatistics(
    shakenMaster("mobilenetv2"),
    [0, 0.5].map((sparsity) => ({ sparsity, statistics: new Map() })),
  );
  const choice = choose(await scoresOf(master, rowOf(images, 0), 0.5), 0.5, { boosted: true });
  const surrogate = new SurrogateCutter(master).cut(master, choice);

  it("changes nothing at α = 0, nor where nothing was trained, at any α", () => {
    expect(feedBack(master, surrogate, trainedOf(surrogate.model), 0).master).toBe(master);
    for (const alpha of [0.2, 1]) expect(feedBack(master, surrogate, surrogate.model, alpha).master).toEqual(master);
  });

  it("blends what makes the kept channels, and leaves every other byte", () => {
    const alpha = 0.25;
    const trained = trainedOf(surrogate.model);
    const { master: fed } = feedBack(master, surrogate, trained, alpha);
    const [before, after] = [master, fed].map((each) => openMaster(each, 0.5).graph.initializers);
    const members = surrogate.filters.flatMap((filter) => filter.members);
    let [blended, kept, wrong] = [0, 0, 0];
    for (const [name, old] of before!) {
      const own = members.find((member) => member.initializer === name);
      const axes = surrogate.record.weights[name]?.axes ?? {};
      const fresh = toNumbers(trained.graph.initializers.get(name)!)[Symbol.iterator]();
      const strides = old.dims.map((_, axis) => old.dims.slice(axis + 1).reduce((a, b) => a * b, 1));
      old.data.forEach((value, i) => {
        const inside = Object.entries(axes).every(([axis, places]) =>
          places.includes(Math.floor(i / strides[Number(axis)]!) % old.dims[Number(axis)]!),
        );
        const part = inside ? fresh.next().value! : 0;
        const now = Number(after!.get(name)!.data[i]);
        const wanted = inside && own ? (1 - alpha) * Number(value) + alpha * part : Number(value);
        if (Math.abs(now - wanted) > (inside && own ? 1e-5 : 0)) wrong++;
        if (inside && own) blended++;
        else kept++;
      });
    }
    expect(wrong).toBe(0);
    expect(Math.min(blended, kept)).toBeGreaterThan(100);
    expect(members.every(({ side }) => side === "makes")).toBe(true);
    const gates = gatesOf(master).gates.flatMap(({ parameters }) => parameters);
    for (const name of gates) expect(fed.graph.initializers.get(name)).toBe(master.graph.initializers.get(name));
    expect(openMaster(fed, 0).graph.initializers.get(statisticsOf(master)[0]!)).toEqual(
      openMaster(master, 0).graph.initializers.get(statisticsOf(master)[0]!),
    );
  });

  it("is undone to the byte, from less than the master", () => {
    const { master: fed, feedback } = feedBack(master, surrogate, trainedOf(surrogate.model), 0.4);
    expect(fed).not.toEqual(master);
    expect(undoFeedback(fed, feedback)).toEqual(master);
    const sizeOf = (values: Iterable<Tensor>): number => [...values].reduce((sum, { data }) => sum + data.length, 0);
    expect(sizeOf(feedback.before.values())).toBeLessThan(0.5 * sizeOf(master.graph.initializers.values()));
  });

  it("hands whole filters to the next surrogate that has them too", async () => {
    const trained = trainedOf(surrogate.model);
    const reused = reuseFilters(master, { surrogate, trained });
    const next = choose(await scoresOf(master, rowOf(images, 2), 0.5), 0.5, { boosted: true });
    const { model } = new SurrogateCutter(master).cut(reused.master, next);
    const shared = surrogate.filters.flatMap(({ group, members }) =>
      choice.kept[group]!.flatMap((unit, i) => {
        const j = next.kept[group]!.indexOf(unit);
        const { initializer } = members.find(({ initializer: name }) => name.endsWith("1.1.weight")) ?? members[1]!;
        const read = (from: Model, place: number): number =>
          (from.graph.initializers.get(initializer)!.data as Float32Array)[place]!;
        return j < 0 || model.graph.initializers.get(initializer)!.dims.length > 1
          ? []
          : [[read(trained, i), read(model, j)]];
      }),
    );
    expect(shared.length).toBeGreaterThan(10);
    for (const [last, now] of shared) expect(now).toBe(last);
    const group = surrogate.filters[0]!.group;
    expect([...reused.boosts[group]!.keys()]).toEqual(choice.kept[group]);
  });
});

describe("attachStatistics", () => {
  const plain = shakenMaster("resnet8");
  const names = statisticsOf(plain);
  const levels = [0, 0.4, 0.8].map((sparsity, level) => ({
    sparsity,
    statistics: new Map(
      names.map((name) => {
        const { dims, data } = plain.graph.initializers.get(name)!;
        return [
          name,
          tensorOf(
            "float32",
            dims,
            Array.from(data as Float32Array, (v) => v + level / 4),
          ),
        ];
      }),
    ),
  }));
  const master = attachStatistics(plain, levels);

  it("makes a run take the statistics of the nearest sparsity", async () => {
    for (const [sparsity, level] of [
      [0, 0],
      [0.1, 0],
      [0.5, 1],
      [0.61, 2],
      [0.9, 2],
    ] as const) {
      const feeds = feedsOf(plain, images, [sparsity]);
      const fixed = new Map([...plain.graph.initializers, ...levels[level]!.statistics]);
      const expected = await runOrt({ ...plain, graph: { ...plain.graph, initializers: fixed } }, feeds);
      expect(compareOutputs(expected, await runOrt(master, feeds))).toBe(0);
      expect(compareOutputs(expected, await runOrt(selectStatistics(master, sparsity), feeds))).toBe(0);
    }
  });

  it("is undone by selectStatistics, and replaced by other levels", () => {
    expect(selectStatistics(master, 0).graph).toEqual(plain.graph);
    const again = attachStatistics(master, levels.slice(1));
    expect(again).toEqual(attachStatistics(plain, levels.slice(1)));
  });
});
