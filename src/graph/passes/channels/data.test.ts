import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sizeOf } from "../../../base/index.js";
import type { Model } from "../../ir/index.js";
import { describe, expect, it } from "vitest";
import { differenceOf } from "../../../../test/helpers/channels.js";
import { prepareModel } from "../prepare.js";
import { readModel, writeModel } from "../../onnx/index.js";
import { chooseChannels, findChannelGroups, pruneChannels, silenceChannels } from "./index.js";

const data = process.env.LIMBER_DATA;

describe.runIf(data)("pruning the models of LIMBER_DATA", () => {
  const paths = data
    ? readdirSync(data, { recursive: true })
        .map(String)
        .filter((path) => path.endsWith(".onnx"))
    : [];

  it.each(paths)("computes the same without the channels that were zero: %s", { timeout: 60_000 }, async (path) => {
    const model = readModel(readFileSync(join(data!, path)));
    const groups = findChannelGroups(model);
    const { selection } = chooseChannels(model, groups, { keep: 0.5, by: "l1" });
    expect(Object.keys(selection).length).toBeGreaterThan(0);
    const { model: pruned } = pruneChannels(model, selection);
    const small = readModel(writeModel(pruned));
    const numbers = ({ graph }: Model): number =>
      [...graph.initializers.values()].reduce((sum, { dims }) => sum + sizeOf(dims), 0);
    expect(numbers(small)).toBeLessThan(0.6 * numbers(prepareModel(model)));
    expect(await differenceOf(silenceChannels(model, groups, selection), small, "ort", 1)).toBeLessThan(1e-5);
  });
});
