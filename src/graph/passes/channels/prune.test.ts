import { describe, expect, it } from "vitest";
import {
  differenceOf,
  draw,
  half,
  head,
  image,
  norm,
  normNode,
  same,
  stem,
  tokens,
} from "../../../../test/helpers/channels.js";
import { modelOf, type ModelParts, node } from "../../../../test/helpers/graph.js";
import { int64s, tensorOf } from "../../../base/index.js";
import { attr } from "../../ir/index.js";
import { type ChannelGroup, findChannelGroups, pruneChannels, silenceChannels } from "./index.js";

const sizesOf = (groups: readonly ChannelGroup[]): Record<string, number> =>
  Object.fromEntries(groups.filter(({ reason }) => reason === undefined).map(({ id, size }) => [id, size]));
interface Case extends ModelParts {
  readonly title: string;
  /** Groups that can be cut, and their units. */
  readonly groups: Readonly<Record<string, number>>;
  /** What pruning half leaves of some weights and settings. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
}

const CASES: readonly Case[] = [
  {
    title: "the branches of a residual Add",
    ...image,
    nodes: [stem, node("Conv", ["s", "inner"], ["i"]), node("Add", ["s", "i"], ["z"]), head],
    initializers: { stem: draw(8, 3, 3, 3), inner: draw(8, 8, 1, 1), head: draw(2, 8, 1, 1) },
    groups: { "stem:0": 8 },
    shapes: { stem: [4, 3, 3, 3], inner: [4, 4, 1, 1], head: [2, 4, 1, 1] },
  },
  {
    title: "the channels that BatchNormalization and PRelu hold numbers for",
    ...image,
    nodes: [stem, normNode("n", "s", "b"), node("PRelu", ["b", "slope"], ["z"]), head],
    initializers: { stem: draw(8, 3, 3, 3), ...norm("n", 8), slope: draw(8, 1, 1), head: draw(2, 8, 1, 1) },
    groups: { "stem:0": 8 },
    shapes: { "n.mean": [4], slope: [4, 1, 1] },
  },
  {
    title: "a squeeze-and-excitation gate with what it gates",
    ...image,
    nodes: [
      ...[
        stem,
        node("GlobalAveragePool", ["s"], ["g"]),
        node("Conv", ["g", "down"], ["d"]),
        node("Relu", ["d"], ["r"]),
      ],
      ...[node("Conv", ["r", "up"], ["u"]), node("Sigmoid", ["u"], ["gate"]), node("Mul", ["s", "gate"], ["z"]), head],
    ],
    initializers: { stem: draw(8, 3, 3, 3), down: draw(4, 8, 1, 1), up: draw(8, 4, 1, 1), head: draw(2, 8, 1, 1) },
    groups: { "stem:0": 8, "down:0": 4 },
  },
  {
    title: "each side of a Concat on its own",
    ...image,
    nodes: [
      stem,
      node("Conv", ["x", "other"], ["o"], same),
      node("Concat", ["s", "o"], ["z"], { axis: attr.int(1) }),
      head,
    ],
    initializers: { stem: draw(8, 3, 3, 3), other: draw(4, 3, 3, 3), head: draw(2, 12, 1, 1) },
    groups: { "stem:0": 8, "other:0": 4 },
    shapes: { head: [2, 6, 1, 1] },
  },
  {
    title: "the parts of a Split, with its sizes",
    ...image,
    nodes: [
      stem,
      node("Split", ["s", "sizes"], ["a", "b"], { axis: attr.int(1) }),
      node("Conv", ["a", "left"], ["l"]),
      node("Conv", ["b", "right"], ["r"]),
      node("Add", ["l", "r"], ["y"]),
    ],
    initializers: { stem: draw(8, 3, 3, 3), sizes: int64s([2, 6]), left: draw(2, 2, 1, 1), right: draw(2, 6, 1, 1) },
    groups: { "stem:0": 2, "stem:0#2": 6 },
    shapes: { "a/pruned:1": [2], left: [2, 1, 1, 1], right: [2, 3, 1, 1] },
  },
  {
    title: "the part that a Slice takes, with its bounds",
    ...image,
    nodes: [stem, node("Slice", ["s", "from", "to", "axis"], ["z"]), head, node("Conv", ["s", "all"], ["w"])],
    outputs: ["y", "w"],
    initializers: {
      ...{ stem: draw(8, 3, 3, 3), head: draw(2, 4, 1, 1), all: draw(2, 8, 1, 1) },
      ...{ from: int64s([2]), to: int64s([-2]), axis: int64s([1]) },
    },
    groups: { "stem:0": 4, "stem:0#2": 4 },
    shapes: { head: [2, 2, 1, 1], all: [2, 4, 1, 1] },
  },
  {
    title: "pairs, where a Slice takes every second channel",
    ...image,
    nodes: [stem, node("Slice", ["s", "from", "to", "axis", "step"], ["z"]), head],
    initializers: {
      ...{ stem: draw(8, 3, 3, 3), head: draw(2, 4, 1, 1), step: int64s([2]) },
      ...{ from: int64s([1]), to: int64s([100]), axis: int64s([1]) },
    },
    groups: { "stem:0": 4 },
    shapes: { stem: [4, 3, 3, 3], head: [2, 2, 1, 1] },
  },
  {
    title: "a depthwise convolution with what comes before and after",
    ...image,
    nodes: [stem, node("Conv", ["s", "depth", "bias"], ["z"], { ...same, group: attr.int(8) }), head],
    initializers: { stem: draw(8, 3, 3, 3), depth: draw(8, 1, 3, 3), bias: draw(8), head: draw(2, 8, 1, 1) },
    groups: { "stem:0": 8 },
    shapes: { depth: [4, 1, 3, 3], bias: [4] },
  },
  {
    title: "a grouped convolution by groups, or inside of all groups alike",
    ...image,
    nodes: [stem, node("Conv", ["s", "grouped"], ["z"], { group: attr.int(4) }), head],
    initializers: { stem: draw(8, 3, 3, 3), grouped: draw(12, 2, 1, 1), head: draw(2, 12, 1, 1) },
    groups: { "stem:0": 2, "stem:0#2": 4, "grouped:0": 3 },
    shapes: { stem: [4, 3, 3, 3], grouped: [8, 1, 1, 1], head: [2, 8, 1, 1] },
  },
  {
    title: "a transposed convolution",
    ...image,
    nodes: [stem, node("ConvTranspose", ["s", "up", "bias"], ["z"], { strides: attr.ints([2, 2]) }), head],
    initializers: { stem: draw(8, 3, 3, 3), up: draw(8, 6, 2, 2), bias: draw(6), head: draw(2, 6, 1, 1) },
    groups: { "stem:0": 8, "up:1": 6 },
    shapes: { up: [4, 3, 2, 2], bias: [3] },
  },
  {
    title: "a channel with all its pixels through Flatten into Gemm",
    ...image,
    nodes: [
      stem,
      node("MaxPool", ["s"], ["p"], { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) }),
      node("Flatten", ["p"], ["f"]),
      node("Gemm", ["f", "hidden", "bias"], ["h"], { transB: attr.int(1) }),
      node("Relu", ["h"], ["r"]),
      node("MatMul", ["r", "last"], ["y"]),
    ],
    initializers: { stem: draw(8, 3, 3, 3), hidden: draw(6, 72), bias: draw(6), last: draw(6, 2) },
    groups: { "stem:0": 8, "hidden:0": 6 },
    shapes: { stem: [4, 3, 3, 3], hidden: [3, 36], bias: [3], last: [3, 2] },
  },
  {
    title: "the channels that a shuffle exchanges",
    ...image,
    nodes: [
      stem,
      node("Reshape", ["s", "split"], ["a"]),
      node("Transpose", ["a"], ["b"], { perm: attr.ints([0, 2, 1, 3, 4]) }),
      node("Reshape", ["b", "join"], ["z"]),
      head,
    ],
    initializers: {
      ...{ stem: draw(8, 3, 3, 3), head: draw(2, 8, 1, 1) },
      ...{ split: int64s([0, 2, 4, 6, 6]), join: int64s([0, -1, 6, 6]) },
    },
    groups: { "stem:0": 2, "stem:0#2": 4 },
    shapes: { stem: [4, 3, 3, 3], "a/pruned:1": [5] },
  },
  {
    title: "whole heads of attention, and the columns of all heads",
    ...tokens,
    nodes: [
      ...["q", "k", "v"].flatMap((name) => [
        node("MatMul", ["x", name], [`${name}0`]),
        node("Reshape", [`${name}0`, "heads"], [`${name}1`]),
        node("Transpose", [`${name}1`], [`${name}2`], { perm: attr.ints(name === "k" ? [0, 2, 3, 1] : [0, 2, 1, 3]) }),
      ]),
      node("MatMul", ["q2", "k2"], ["scores"]),
      node("Softmax", ["scores"], ["weights"]),
      node("MatMul", ["weights", "v2"], ["mixed"]),
      node("Transpose", ["mixed"], ["turned"], { perm: attr.ints([0, 2, 1, 3]) }),
      node("Reshape", ["turned", "joined"], ["all"]),
      node("MatMul", ["all", "out"], ["y"]),
    ],
    initializers: {
      ...{ q: draw(8, 12), k: draw(8, 12), v: draw(8, 12), out: draw(12, 8) },
      ...{ heads: int64s([0, 0, 4, 3]), joined: int64s([0, 0, -1]) },
    },
    groups: { "q:1": 4, "q:1#2": 3, "v:1": 3 },
    shapes: { q: [8, 6], k: [8, 6], v: [8, 6], out: [6, 8] },
  },
  {
    title: "whole heads where one weight makes queries, keys and values",
    ...tokens,
    nodes: [
      node("MatMul", ["x", "qkv"], ["a"]),
      node("Reshape", ["a", "heads"], ["b"]),
      node("Transpose", ["b"], ["c"], { perm: attr.ints([2, 0, 3, 1, 4]) }),
      ...["q", "k", "v"].map((name, i) => node("Gather", ["c", `index${i}`], [name], { axis: attr.int(0) })),
      node("Transpose", ["k"], ["kt"], { perm: attr.ints([0, 1, 3, 2]) }),
      node("MatMul", ["q", "kt"], ["scores"]),
      node("Softmax", ["scores"], ["weights"]),
      node("MatMul", ["weights", "v"], ["mixed"]),
      node("Transpose", ["mixed"], ["turned"], { perm: attr.ints([0, 2, 1, 3]) }),
      node("Reshape", ["turned", "joined"], ["all"]),
      node("MatMul", ["all", "out"], ["y"]),
    ],
    initializers: {
      ...{ qkv: draw(8, 36), out: draw(12, 8), heads: int64s([1, 5, 3, 4, 3]), joined: int64s([1, 5, 12]) },
      ...Object.fromEntries([0, 1, 2].map((i) => [`index${i}`, tensorOf("int64", [], [i])])),
    },
    groups: { "qkv:1": 4, "qkv:1#2": 3 },
    shapes: { qkv: [8, 18], out: [6, 8] },
  },
  {
    title: "the hidden units between two layer normalizations, and nothing of what they normalize",
    ...tokens,
    nodes: [
      node("MatMul", ["x", "embed"], ["e"]),
      node("LayerNormalization", ["e", "g1", "b1"], ["n"]),
      node("MatMul", ["n", "up"], ["u"]),
      node("Gelu", ["u"], ["a"]),
      node("MatMul", ["a", "down"], ["d"]),
      node("Add", ["e", "d"], ["r"]),
      node("MatMul", ["r", "out"], ["y"]),
    ],
    opset: 20,
    initializers: {
      ...{ embed: draw(8, 6), g1: draw(6), b1: draw(6), up: draw(6, 10), down: draw(10, 6), out: draw(6, 2) },
    },
    groups: { "up:1": 10 },
    shapes: { up: [6, 5], down: [5, 6], embed: [8, 6] },
  },
  {
    title: "whole groups of a GroupNormalization",
    ...image,
    nodes: [stem, node("GroupNormalization", ["s", "scale", "bias"], ["z"], { num_groups: attr.int(4) }), head],
    opset: 21,
    initializers: { stem: draw(8, 3, 3, 3), scale: draw(8), bias: draw(8), head: draw(2, 8, 1, 1) },
    groups: { "stem:0": 4 },
    shapes: { stem: [4, 3, 3, 3], scale: [4] },
  },
  {
    title: "whole groups where a group normalization is written out",
    ...image,
    nodes: [
      stem,
      node("Reshape", ["s", "grouped"], ["g"]),
      node("InstanceNormalization", ["g", "ones", "zeros"], ["n"]),
      node("Reshape", ["n", "back"], ["b"]),
      node("Mul", ["b", "scale"], ["z"]),
      head,
    ],
    initializers: {
      ...{ stem: draw(8, 3, 3, 3), scale: draw(8, 1, 1), head: draw(2, 8, 1, 1) },
      ...{ grouped: int64s([0, 4, -1]), back: int64s([1, 8, 6, 6]) },
      ...{ ones: tensorOf("float32", [4], [1, 1, 1, 1]), zeros: draw(4) },
    },
    groups: { "stem:0": 4 },
    shapes: { stem: [4, 3, 3, 3], scale: [4, 1, 1], ones: [2] },
  },
  {
    title: "channels that Gather puts in another order, and those that nobody reads",
    ...image,
    nodes: [stem, node("Gather", ["s", "order"], ["z"], { axis: attr.int(1) }), head],
    initializers: { stem: draw(8, 3, 3, 3), order: int64s([3, 1, -1, 3]), head: draw(2, 4, 1, 1) },
    groups: { "stem:0": 5, "stem:0#2": 2, "stem:0#3": 1 },
    shapes: { stem: [5, 3, 3, 3], head: [2, 3, 1, 1] },
  },
  {
    title: "two layers that share a weight",
    ...image,
    nodes: [
      stem,
      node("Conv", ["s", "shared"], ["a"]),
      node("Relu", ["a"], ["b"]),
      node("Conv", ["b", "shared"], ["z"]),
      head,
    ],
    initializers: { stem: draw(8, 3, 3, 3), shared: draw(8, 8, 1, 1), head: draw(2, 8, 1, 1) },
    groups: { "stem:0": 8 },
    shapes: { shared: [4, 4, 1, 1] },
  },
  {
    title: "the zero channels that Pad appends, as a shortcut without weights",
    ...image,
    nodes: [
      stem,
      node("Conv", ["x", "more"], ["m"], same),
      node("Pad", ["s", "pads"], ["p"]),
      node("Add", ["m", "p"], ["z"]),
      head,
    ],
    initializers: {
      ...{ stem: draw(4, 3, 3, 3), more: draw(8, 3, 3, 3), head: draw(2, 8, 1, 1) },
      pads: int64s([0, 2, 0, 0, 0, 2, 0, 0]),
    },
    groups: { "more:0": 4, "stem:0": 4 },
    shapes: { stem: [2, 3, 3, 3], more: [4, 3, 3, 3] },
  },
  {
    title: "channels through a Resize that lists sizes, an Expand and a Tile",
    ...image,
    nodes: [
      stem,
      node("Resize", ["s", "", "", "sizes"], ["r"]),
      node("Expand", ["r", "shape"], ["e"]),
      node("Tile", ["e", "repeats"], ["z"]),
      head,
    ],
    initializers: {
      ...{ stem: draw(8, 3, 3, 3), head: draw(2, 16, 1, 1) },
      ...{ sizes: int64s([1, 8, 12, 12]), shape: int64s([1, 8, 12, 12]), repeats: int64s([1, 2, 1, 1]) },
    },
    groups: { "stem:0": 8 },
    shapes: { head: [2, 8, 1, 1] },
  },
  {
    title: "channels that become pixels and pixels that become channels, block by block",
    ...image,
    nodes: [
      stem,
      node("DepthToSpace", ["s"], ["d"], { blocksize: attr.int(2) }),
      node("Conv", ["d", "mid"], ["m"]),
      node("SpaceToDepth", ["m"], ["z"], { blocksize: attr.int(2) }),
      head,
    ],
    initializers: { stem: draw(8, 3, 3, 3), mid: draw(4, 2, 1, 1), head: draw(2, 16, 1, 1) },
    groups: { "stem:0": 2, "mid:0": 4 },
    shapes: { stem: [4, 3, 3, 3], mid: [2, 1, 1, 1], head: [2, 8, 1, 1] },
  },
  {
    title: "the labels of an Einsum",
    ...tokens,
    nodes: [
      node("Einsum", ["x", "a"], ["h"], { equation: attr.string("btc,cd->btd") }),
      node("MatMul", ["h", "b"], ["y"]),
    ],
    initializers: { a: draw(8, 6), b: draw(6, 2) },
    groups: { "a:1": 6 },
    shapes: { a: [8, 3], b: [3, 2] },
  },
  {
    title: "heads behind a shape that is computed from the batch",
    inputs: { x: ["batch", 5, 8] },
    outputs: ["y"],
    nodes: [
      node("MatMul", ["x", "w"], ["a"]),
      node("Shape", ["a"], ["size"]),
      node("Gather", ["size", "zero"], ["n"]),
      node("Concat", ["n", "rest"], ["shape"], { axis: attr.int(0) }),
      node("Reshape", ["a", "shape"], ["b"]),
      node("ReduceMean", ["b"], ["c"], { axes: attr.ints([3]), keepdims: attr.int(0) }),
      node("MatMul", ["c", "out"], ["y"]),
    ],
    initializers: { w: draw(8, 12), zero: int64s([0]), rest: int64s([5, 4, 3]), out: draw(4, 2) },
    groups: { "w:1": 4 },
    shapes: { w: [8, 6], out: [2, 2] },
  },
];

describe("pruneChannels", () => {
  it.each(CASES)("cuts $title", async ({ groups: expected, shapes = {}, ...parts }) => {
    const model = modelOf(parts);
    const groups = findChannelGroups(model);
    expect(sizesOf(groups)).toEqual(expected);
    const selection = half(groups);
    const { model: pruned } = pruneChannels(model, selection);
    const left = Object.keys(shapes).map((name) => [name, pruned.graph.initializers.get(name)?.dims]);
    expect(Object.fromEntries(left)).toEqual(shapes);
    const silenced = silenceChannels(model, groups, selection);
    expect(await differenceOf(silenced, pruned, "reference")).toBeLessThan(1e-9);
    expect(await differenceOf(silenced, pruned, "ort")).toBeLessThan(1e-5);
  });
});
