import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Model } from "../ir/index.js";
import { readModel, writeModel } from "./index.js";

const data = process.env.LIMBER_DATA;
const models = data
  ? readdirSync(data, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".onnx"))
  : [];

describe.runIf(data)("round trip of real models (LIMBER_DATA)", () => {
  test.each(models)("%s keeps every field and, written twice, every byte", (path) => {
    const model = readModel(readFileSync(join(data!, path)));
    const bytes = writeModel(model);
    const again = readModel(bytes);
    const withoutWeights = (m: Model): Model => ({ ...m, graph: { ...m.graph, initializers: new Map() } });
    expect(withoutWeights(again)).toEqual(withoutWeights(model));
    expect(Buffer.compare(writeModel(again), bytes)).toBe(0);
  });
});
