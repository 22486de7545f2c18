import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { readModel, writeModel } from "../onnx/index.js";
import { costOf, foldConstants, inferShapes, upgradeOpset } from "./index.js";
import { staticDims } from "./knowledge.js";

const root = process.env.LIMBER_DATA;

describe.runIf(root)("models of LIMBER_DATA", () => {
  const files = root
    ? readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".onnx"))
    : [];
  it.each(files)("%s has static shapes that agree with ONNX Runtime", async (file) => {
    const model = upgradeOpset(readModel(readFileSync(join(root!, file))));
    console.log(file, [...model.opsets], model.graph.inputs, model.graph.outputs, model.graph.nodes.length);
    const inferred = inferShapes(model, { batch: 2 });
    const missing = inferred.graph.nodes.flatMap((n) =>
      n.outputs
        .filter((o) => o && !staticDims(inferred.graph.types.get(o)))
        .map((o) => [n.op, n.name, o, inferred.graph.types.get(o)]),
    );
    console.log(missing.length, missing.slice(0, 3));
    const folded = foldConstants(inferred);
    console.log(folded.graph.nodes.length, new Set(folded.graph.nodes.map((n) => n.op)));
    const cost = costOf(inferred);
    console.log(cost.macs / 2, cost.parameters, cost.sizeBytes, cost.uncounted.length);
    const session = await InferenceSession.create(writeModel(folded));
    const feeds = Object.fromEntries(
      inferred.graph.inputs.map((v) => [
        v.name,
        new OrtTensor(
          "float32",
          new Float32Array(v.dims!.reduce<number>((a, b) => a * Number(b), 1)),
          v.dims as number[],
        ),
      ]),
    );
    const out = await session.run(feeds);
    for (const v of inferred.graph.outputs) expect(out[v.name]!.dims).toEqual(v.dims);
  });
});
