import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { Random, sizeOf, tensorOf } from "../src/base/index.js";
import {
  attr,
  buildNetwork,
  chooseChannels,
  findChannelGroups,
  type Model,
  NETWORKS,
  type Node,
  pruneChannels,
  readModel,
  silenceChannels,
  writeModel,
} from "../src/graph/index.js";
import { differenceOf } from "./helpers/channels.js";
import { modelOf, node } from "./helpers/graph.js";

describe.each(Object.keys(NETWORKS))("%s, cut to half of its channels", (name) => {
  const model = buildNetwork(name, { imageSize: 32, classes: 4, width: 0.25, seed: 1 });
  const groups = findChannelGroups(model);

  test("computes what the original computes without them", async () => {
    const { selection } = chooseChannels(model, groups, { keep: 0.5, by: "random", seed: 3 });
    const pruned = readModel(writeModel(pruneChannels(model, selection).model));
    const numbers = ({ graph }: Model): number =>
      [...graph.initializers.values()].reduce((sum, { dims }) => sum + sizeOf(dims), 0);
    expect(numbers(pruned)).toBeLessThan(0.75 * numbers(model));
    expect(await differenceOf(silenceChannels(model, groups, selection), pruned, "ort")).toBeLessThan(1e-5);
  });

  test("is kept whole at its borders, with the reason", () => {
    const reasons = groups.flatMap(({ reason }) => reason ?? []).join();
    expect(reasons).toContain("graph input");
    expect(reasons).toContain("graph output");
  });
});

/** Layers on top of each other, drawn from all that ties channels together. */
function drawNetwork(seed: number): Model {
  const random = new Random(seed);
  const nodes: Node[] = [];
  const initializers: Record<string, ReturnType<typeof tensorOf>> = {};
  const weight = (dims: readonly number[]): string => {
    const name = `w${Object.keys(initializers).length}`;
    const data = Array.from({ length: sizeOf(dims) }, () => random.normal(0, 0.5));
    initializers[name] = tensorOf("float32", dims, data);
    return name;
  };
  const ints = (values: readonly number[]): string => {
    const name = `i${Object.keys(initializers).length}`;
    initializers[name] = tensorOf("int64", [values.length], values);
    return name;
  };
  const emit = (op: string, inputs: readonly string[], attributes = {}, outputs = 1): string[] => {
    const names = Array.from({ length: outputs }, (_, i) => `v${nodes.length}.${i}`);
    nodes.push(node(op, inputs, names, attributes));
    return names;
  };
  const conv = (x: string, from: number, to: number, group = 1): string =>
    emit("Conv", [x, weight([to, from / group, 1, 1]), weight([to])], { group: attr.int(group) })[0]!;
  // Values of one size that a later layer may come back to.
  const seen: { name: string; channels: number }[] = [];
  let [x, channels] = [conv("x", 3, 8), 8];
  const layers: (() => void)[] = [
    () => ([x, channels] = [conv(x, channels, random.pick([4, 8, 12])), channels]),
    () => (x = emit(random.pick(["Relu", "Sigmoid", "HardSwish"]), [x])[0]!),
    () => (x = conv(x, channels, channels, channels)),
    () => (x = conv(x, channels, channels, 2)),
    () => (x = emit("PRelu", [x, weight([channels, 1, 1])])[0]!),
    () => {
      const other = seen.find((each) => each.channels === channels);
      if (other) x = emit(random.pick(["Add", "Mul", "Max"]), [x, other.name])[0]!;
    },
    () => {
      const other = random.pick([{ name: x, channels }, ...seen]);
      if (channels + other.channels > 24) return;
      x = emit("Concat", [x, other.name], { axis: attr.int(1) })[0]!;
      channels += other.channels;
    },
    () => {
      const left = random.int(1, channels / 2) * 2;
      if (left >= channels) return;
      const [a, b] = emit("Split", [x, ints([left, channels - left])], { axis: attr.int(1) }, 2);
      x = emit("Concat", [b!, a!], { axis: attr.int(1) })[0]!;
    },
    () => {
      const [a] = emit("Reshape", [x, ints([0, 2, channels / 2, 4, 4])]);
      const [b] = emit("Transpose", [a!], { perm: attr.ints([0, 2, 1, 3, 4]) });
      x = emit("Reshape", [b!, ints([0, -1, 4, 4])])[0]!;
    },
    () => {
      const [pooled] = emit("GlobalAveragePool", [x]);
      const squeezed = emit("Relu", [conv(pooled!, channels, 4)])[0]!;
      x = emit("Mul", [x, emit("Sigmoid", [conv(squeezed, 4, channels)])[0]!])[0]!;
    },
  ];
  for (let i = 0; i < 8; i++) {
    seen.push({ name: x, channels });
    const before = x;
    random.pick(layers)();
    const last = nodes.at(-1)!;
    if (x !== before && last.op === "Conv") channels = initializers[last.inputs[1]!]!.dims[0]!;
  }
  const [flat] = emit("Flatten", [x]);
  const [scores] = emit("MatMul", [flat!, weight([channels * 16, 3])]);
  return modelOf({ inputs: { x: ["batch", 3, 4, 4] }, outputs: [scores!], nodes, initializers });
}

it("cuts any network of such layers without changing what the rest computes", { timeout: 60_000 }, async () => {
  let cut = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 1e6 }), fc.constantFrom(0.25, 0.5, 0.75), async (seed, keep) => {
      const model = drawNetwork(seed);
      const groups = findChannelGroups(model);
      const { selection } = chooseChannels(model, groups, { keep, by: "random", seed });
      cut += Object.keys(selection).length;
      const { model: pruned } = pruneChannels(model, selection);
      expect(await differenceOf(silenceChannels(model, groups, selection), pruned, "reference")).toBeLessThan(1e-9);
    }),
    { seed: 11, numRuns: 50 },
  );
  expect(cut).toBeGreaterThan(50);
});
