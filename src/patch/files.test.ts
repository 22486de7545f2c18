import fc from "fast-check";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { smallNetwork } from "../../test/helpers/tiny.js";
import { Random, sizeOf, tensorOf } from "../base/index.js";
import {
  attachPatches,
  buildNetwork,
  buildTaskNetwork,
  detachPatches,
  type Model,
  patchParameters,
  prepareModel,
  readModel,
  splitBackbone,
  writeModel,
} from "../graph/index.js";
import { readTensorFile, writeTensorFile } from "../run/node.js";
import { applyPatch, hashParent, loadPatch, readPatch, savePatch, writePatch } from "./files.js";

const source = buildNetwork("resnet8", { imageSize: 16, classes: 3, width: 0.25, seed: 1 });
const points = splitBackbone(source);

/** The model with other numbers in some weights. */
function withDrawn({ graph, ...model }: Model, names: readonly string[], seed = 5): Model {
  const random = new Random(seed);
  const drawn = names.map((name) => {
    const { dims } = graph.initializers.get(name)!;
    return [
      name,
      tensorOf(
        "float32",
        dims,
        Array.from({ length: sizeOf(dims) }, () => random.normal()),
      ),
    ] as const;
  });
  return { ...model, graph: { ...graph, initializers: new Map([...graph.initializers, ...drawn]) } };
}
const trainedOn = (model: Model, groups?: readonly number[], seed?: number): Model => {
  const patched = attachPatches(model, points, groups ? { groups } : {});
  return withDrawn(patched, patchParameters(patched), seed);
};

const patched = trainedOn(source);
const about = { domain: "fog", metrics: { before: 0.4, after: 0.8 }, seed: 3, date: "2026-11-22T00:00:00.000Z" };
const bytes = writePatch(patched, about);
const same = (a: Model, b: Model): boolean => Buffer.compare(writeModel(a), writeModel(b)) === 0;

describe("a patch file", () => {
  test("holds the patches and what they are for, in a few per cent of the model", () => {
    const { manifest, tensors, sizeBytes } = readPatch(bytes);
    expect(manifest).toMatchObject({ version: 1, parent: hashParent(source), others: [], ...about });
    expect(manifest.patches.map(({ group, channels }) => [group, channels])).toEqual(
      points.map(({ group, channels }) => [group, channels]),
    );
    expect(tensors.size).toBe(18);
    expect(sizeBytes).toBe(bytes.length);
    const standard = buildNetwork("resnet20", { imageSize: 32, classes: 10 });
    const small = writePatch(attachPatches(standard, splitBackbone(standard)));
    expect(small.length / writeModel(standard).length).toBeLessThan(0.02);
  });

  test("gives the model that was patched, to the byte; and the same bytes again", () => {
    expect(same(applyPatch(source, readPatch(bytes)), patched)).toBe(true);
    expect(Buffer.compare(writePatch(applyPatch(source, readPatch(bytes)), about), bytes)).toBe(0);
  });

  test("fits the model from its file, prepared, patched already, and with other metadata", () => {
    const file = readPatch(bytes);
    const other = { ...source, metadata: new Map([["author", "me"]]), producerName: "someone" };
    for (const model of [readModel(writeModel(source)), prepareModel(source), trainedOn(source, [1, 3], 9), other])
      expect(same(detachPatches(applyPatch(model, file)), detachPatches(model))).toBe(true);
  });

  test("of one group leaves the patches of others", () => {
    const third = readPatch(writePatch(patched, { groups: [3] }));
    const both = applyPatch(trainedOn(source, [2], 9), third);
    expect(patchParameters(both).filter((name) => name.endsWith("scale"))).toEqual(["patch.2.scale", "patch.3.scale"]);
    expect(both.graph.initializers.get("patch.3.up.weight")).toEqual(
      patched.graph.initializers.get("patch.3.up.weight"),
    );
  });

  test("takes along weights that trained beside the patches", () => {
    const head = withDrawn(patched, ["classifier.bias"]);
    const file = readPatch(writePatch(head, { parent: source }));
    expect(file.manifest.others).toEqual(["classifier.bias"]);
    expect(same(applyPatch(source, file), head)).toBe(true);
  });

  test("works for tokens and maps of every backbone", () => {
    for (const backbone of ["vgg", "mobilenetv2", "vit"] as const) {
      const model = buildTaskNetwork({ backbone, task: "segmentation", imageSize: 32, classes: 3, width: 0.125 });
      const full = attachPatches(model, splitBackbone(model), { reduction: 4, seed: 2 });
      expect(same(applyPatch(model, readPatch(writePatch(full))), full)).toBe(true);
    }
  });
});

describe("a patch that does not fit", () => {
  const codeOf = (run: () => unknown): unknown => {
    try {
      run();
      return "done";
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };

  test("is refused with a code of its own for another model, or the same with one weight changed", () => {
    const changed = withDrawn(source, ["stem.1.bias"]);
    expect(codeOf(() => applyPatch(changed, readPatch(bytes)))).toBe("patch.parent");
    expect(codeOf(() => applyPatch(smallNetwork(), readPatch(bytes)))).toBe("patch.parent");
  });

  test("is refused wherever it is cut off, and whichever byte is changed", () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (length) => {
        expect(codeOf(() => readPatch(bytes.subarray(0, length)))).toBe("data.invalid");
      }),
      { numRuns: 50, seed: 1 },
    );
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const other = bytes.map((byte, i) => (i === at ? byte ^ change : byte));
        const code = codeOf(() => readPatch(other));
        // A space of the padding may change without a meaning; nothing else may.
        if (code === "done") expect(bytes[at]).toBe(0x20);
        else expect(code).toBe("data.invalid");
      }),
      { numRuns: 50, seed: 2 },
    );
  });

  test("is refused for other tensors under a right digest: no manifest, missing weights", () => {
    expect(codeOf(() => readPatch(writeTensorFile({ tensors: new Map(), metadata: {} })))).toBe("data.invalid");
    const { manifest, tensors, sizeBytes } = readPatch(bytes);
    const fewer = new Map([...tensors].slice(1));
    expect(codeOf(() => applyPatch(source, { manifest, tensors: fewer, sizeBytes }))).toBe("data.invalid");
    const [[name]] = [...tensors] as [[string, unknown]];
    const flat = new Map([...tensors, [name, tensorOf("float32", [1], [0]) as never]]);
    expect(codeOf(() => applyPatch(source, { manifest, tensors: flat, sizeBytes }))).toBe("shape.mismatch");
    expect(readTensorFile(bytes).tensors.size).toBe(18);
  });

  test("cannot be written without patches, or with another model as parent", () => {
    expect(codeOf(() => writePatch(source))).toBe("config.invalid");
    expect(codeOf(() => writePatch(patched, { groups: [7] }))).toBe("config.invalid");
    expect(codeOf(() => writePatch(patched, { parent: smallNetwork() }))).toBe("config.invalid");
  });
});

describe("on disk", () => {
  const folder = mkdtempSync(join(tmpdir(), "limber-patch-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "fog.safetensors");

  test("is read as it was written, and replaced as a whole", async () => {
    await savePatch(path, bytes);
    await savePatch(path, writePatch(patched, { ...about, domain: "snow" }));
    expect((await loadPatch(path)).manifest.domain).toBe("snow");
    expect(readdirSync(folder)).toEqual(["fog.safetensors"]);
  });

  test("what a power cut leaves beside it does no harm: the old patch is whole, the rest is refused and overwritten", async () => {
    await savePatch(path, bytes);
    const left = `${path}.${process.pid}.tmp`;
    writeFileSync(left, bytes.subarray(0, bytes.length / 2));
    expect((await loadPatch(path)).manifest.domain).toBe("fog");
    await expect(loadPatch(left)).rejects.toMatchObject({ code: "data.invalid" });
    await savePatch(path, bytes);
    expect(readdirSync(folder)).toEqual(["fog.safetensors"]);
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
  });

  test("one that is not there is a typed error", async () => {
    await expect(loadPatch(join(folder, "none"))).rejects.toMatchObject({ code: "io.not-found" });
  });
});
