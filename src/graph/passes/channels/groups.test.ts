import { describe, expect, it } from "vitest";
import { draw, head, image, stem } from "../../../../test/helpers/channels.js";
import { modelOf, type ModelParts, node } from "../../../../test/helpers/graph.js";
import { int64s, tensorOf } from "../../../base/index.js";
import { attr, type Model } from "../../ir/index.js";
import { type ChannelGroup, findChannelGroups } from "./index.js";

const reasonsOf = (groups: readonly ChannelGroup[]): Record<string, string> =>
  Object.fromEntries(groups.flatMap(({ id, reason }) => (reason === undefined ? [] : [[id, reason]])));

describe("findChannelGroups", () => {
  const blocked = (nodes: ModelParts["nodes"], initializers: ModelParts["initializers"]): Record<string, string> =>
    reasonsOf(findChannelGroups(modelOf({ ...image, nodes, initializers: initializers! })));
  const weights = { stem: draw(8, 3, 3, 3), head: draw(2, 8, 1, 1) };

  it("keeps what enters and leaves the graph", () => {
    const reasons = blocked([{ ...stem, outputs: ["z"] }, head], weights);
    expect(reasons).toEqual({
      "stem:1": 'kept whole: graph input "x"',
      "head:0": 'kept whole: graph output "y"',
    });
  });

  it.each([
    ["Softmax", { axis: attr.int(1) }, "normalizes over it"],
    ["LRN", { size: attr.int(3) }, "compares neighbouring channels"],
    ["ReduceMean", { axes: attr.ints([1]) }, "sums over it"],
    ["ArgMax", { axis: attr.int(1) }, "compares along it"],
    ["CumSum", {}, "does not let channels pass"],
    ["Swirl", {}, "is an unknown op"],
  ])("keeps channels that %s mixes, and says so", (op, attributes, why) => {
    const mixing = node(op, op === "CumSum" ? ["s", "one"] : ["s"], ["y"], attributes);
    const reasons = blocked([stem, mixing], { ...weights, one: tensorOf("int64", [], [1]) });
    expect(reasons["stem:0"]).toBe(`kept whole: ${op} "y/${op}" ${why}`);
  });

  it("keeps channels that a Reshape groups across their borders", () => {
    const nodes = [stem, node("Reshape", ["s", "shape"], ["y"])];
    const reasons = blocked(nodes, { ...weights, shape: int64s([1, 12, 24]) });
    expect(reasons["stem:0"]).toContain("groups it otherwise");
  });

  it("gives the same ids to models that differ in weights alone", () => {
    const build = (): Model =>
      modelOf({
        ...image,
        nodes: [{ ...stem, outputs: ["z"] }, head],
        initializers: { stem: draw(8, 3, 3, 3), head: draw(2, 8, 1, 1) },
      });
    expect(findChannelGroups(build())).toEqual(findChannelGroups(build()));
  });
});
