import { describe, expect, it } from "vitest";
import { draw, half, head, image, norm, normNode, stem } from "../../../../test/helpers/channels.js";
import { modelOf, node } from "../../../../test/helpers/graph.js";
import { sizeOf, tensorOf } from "../../../base/index.js";
import { attr, type Model } from "../../ir/index.js";
import {
  chooseChannels,
  findChannelGroups,
  pruneChannels,
  type PruneRecord,
  replayPruning,
  undoPruning,
} from "./index.js";

describe("a selection", () => {
  const chain = modelOf({
    ...image,
    nodes: [stem, node("Relu", ["s"], ["z"]), head],
    initializers: { stem: draw(8, 3, 3, 3), head: draw(2, 8, 1, 1) },
  });
  const groups = findChannelGroups(chain);

  it("keeps the units of the highest norm, as many as the share says", () => {
    const l1 = [...Array(8).keys()].map((row) => {
      const rows = chain.graph.initializers.get("stem")!.data as Float32Array;
      return rows.subarray(27 * row, 27 * (row + 1)).reduce((sum, value) => sum + Math.abs(value), 0);
    });
    const expected = [...l1.keys()]
      .sort((a, b) => l1[b]! - l1[a]!)
      .slice(0, 6)
      .sort((a, b) => a - b);
    expect(chooseChannels(chain, groups, { keep: 0.75, by: "l1" })).toEqual({
      selection: { "stem:0": expected },
      skipped: [],
    });
  });

  it.each([
    [{ keep: 0.3, by: "l2", roundTo: 4 }, 4],
    [{ keep: 0.01, by: "random" }, 1],
    [{ keep: 0.5, by: "l2", roundTo: 3 }, 6],
    [{ keep: 0.5, by: "l2", global: true }, 4],
  ] as const)("of %o has %i units", (options, count) => {
    expect(chooseChannels(chain, groups, options).selection["stem:0"]).toHaveLength(count);
  });

  it("leaves a group whole that has nothing to score", () => {
    expect(chooseChannels(chain, groups, { keep: 0.5, by: "bn" })).toEqual({
      selection: {},
      skipped: [{ id: "stem:0", why: "nothing to score by bn" }],
    });
  });

  it("ranks the channels of all groups together", () => {
    const model = modelOf({
      ...image,
      nodes: [...[stem, normNode("a", "s", "n"), node("Conv", ["n", "mid"], ["m"]), normNode("b", "m", "z"), head]],
      initializers: {
        ...{ stem: draw(8, 3, 3, 3), mid: draw(8, 8, 1, 1), head: draw(2, 8, 1, 1), ...norm("a", 8), ...norm("b", 8) },
        ...{ "a.scale": tensorOf("float32", [8], [1, 1, 1, 1, 1, 1, 1, 1]) },
        ...{ "b.scale": tensorOf("float32", [8], [8, 8, 8, 8, 1, 1, 1, 1]) },
      },
    });
    const { selection } = chooseChannels(model, findChannelGroups(model), { keep: 0.75, by: "bn", global: true });
    expect(selection).toEqual({ "mid:0": [0, 1, 2, 3] });
  });

  it.each([
    [{ nothing: [0] }, "a group of the model"],
    [{ "head:0": [0] }, 'kept whole: graph output "y"'],
    [{ "stem:0": [8] }, "units of 0 to 7"],
    [{ "stem:0": [1, 1] }, "units of 0 to 7"],
    [{ "stem:0": [] }, "nothing of"],
  ])("%o is refused", (selection, message) => {
    expect(() => pruneChannels(chain, selection)).toThrow(message);
    expect(() => pruneChannels(chain, selection)).toThrow(expect.objectContaining({ code: "config.invalid" }) as Error);
  });

  it("of a share that is none is refused", () => {
    expect(() => chooseChannels(chain, groups, { keep: 0, by: "l1" })).toThrow("keep: a share in (0, 1], got 0");
  });
});

describe("a record of pruning", () => {
  const build = (): Model =>
    modelOf({
      ...image,
      nodes: [stem, normNode("n", "s", "a"), node("Conv", ["a", "mid"], ["z"], { group: attr.int(2) }), head],
      initializers: { stem: draw(8, 3, 3, 3), ...norm("n", 8), mid: draw(4, 4, 1, 1), head: draw(2, 4, 1, 1) },
    });
  const original = build();
  const { model: pruned, record } = pruneChannels(original, half(findChannelGroups(original)));
  const dataOf = (model: Model, name: string): number[] => [
    ...(model.graph.initializers.get(name)!.data as Float32Array),
  ];

  it("survives JSON, and cuts another model of the architecture in the same way", () => {
    const read = JSON.parse(JSON.stringify(record)) as PruneRecord;
    expect(read).toEqual(record);
    const other = replayPruning(read, build());
    expect(other.record).toEqual(record);
    expect(dataOf(other.model, "head")).not.toEqual(dataOf(pruned, "head"));
    expect(replayPruning(read, original).model).toEqual(pruned);
  });

  it("is refused by another architecture", () => {
    const wider = modelOf({
      ...image,
      nodes: [{ ...stem, outputs: ["z"] }, head],
      initializers: { stem: draw(6, 3, 3, 3), head: draw(2, 6, 1, 1) },
    });
    expect(() => replayPruning(record, wider)).toThrow("the record is of another architecture");
    expect(() => undoPruning(record, pruned, wider)).toThrow("as recorded");
  });

  it("writes weights back where they came from, and leaves the others to the bit", () => {
    expect(undoPruning(record, pruned, original)).toEqual(original);
    const trained = new Map(
      [...pruned.graph.initializers].map(([name, tensor]) => [
        name,
        { ...tensor, data: (tensor.data as Float32Array).map((v) => v + 1) },
      ]),
    );
    const changed = { ...pruned, graph: { ...pruned.graph, initializers: trained } };
    for (const mix of [1, 0.25, 0]) {
      const back = undoPruning(record, changed, original, mix);
      for (const [name, { dims, axes }] of Object.entries(record.weights)) {
        const [before, after] = [dataOf(original, name), dataOf(back, name)];
        const inside = before.map((_, i) =>
          Object.entries(axes).every(([axis, kept]) => {
            const inner = sizeOf(dims.slice(Number(axis) + 1));
            return kept.includes(Math.floor(i / inner) % dims[Number(axis)]!);
          }),
        );
        expect(inside).toContain(true);
        before.forEach((value, i) => {
          if (inside[i]) expect(after[i]).toBeCloseTo(value + mix, 5);
          else expect(after[i]).toBe(value);
        });
      }
    }
  });
});
