import { expect, test } from "vitest";
import { attachPatches, buildTaskNetwork, splitBackbone } from "../graph/index.js";
import { wideRates } from "./rates.js";

const patched = (width: number) => {
  const model = buildTaskNetwork({ backbone: "resnet", task: "classification", imageSize: 32, classes: 3, width });
  return attachPatches(model, splitBackbone(model), { form: "joint" });
};

test("patches of the widths that rates were chosen on train at the rate as it is", () => {
  expect([...wideRates(patched(1))]).toEqual([]);
});

test("what starts at zero over more inputs trains at a rate that falls with them, all else at the whole rate", () => {
  const model = patched(4); // 64, 128 and 256 channels
  const rates = [...wideRates(model)];
  expect(rates.map(([, rate]) => rate)).toEqual([64 / 128, 64 / 256]);
  for (const [name, rate] of rates) {
    const { dims, data } = model.graph.initializers.get(name)!;
    expect(dims[1]).toBe(64 / rate);
    expect(data.every((value) => Number(value) === 0)).toBe(true);
  }
});
