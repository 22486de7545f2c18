import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataLocation, DataType, onnxBytes } from "../../test/helpers/proto.js";
import { modelOf, node } from "../../test/helpers/graph.js";
import { readModelFile, writeModelFile } from "./model-file.js";

let base = "";
let folder = "";
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "limber-"));
  folder = join(base, "model");
  const weights = Buffer.from(Float32Array.of(0, 1, 2, 3).buffer);
  for (const inside of [folder, join(folder, "sub"), join(base, "model-neighbour")]) {
    mkdirSync(inside);
    writeFileSync(join(inside, "weights.bin"), weights);
  }
  writeFileSync(join(base, "weights.bin"), weights);
  writeFileSync(join(folder, "twin.bin"), weights);
  linkSync(join(folder, "twin.bin"), join(folder, "hard.bin"));
  symlinkSync(join(base, "weights.bin"), join(folder, "soft.bin"));
  symlinkSync(join(base, "model-neighbour"), join(folder, "away"));
});
afterAll(() => rmSync(base, { recursive: true }));

/** A model file whose weight, two floats, lies in another file. */
function fileWith(entries: Readonly<Record<string, string>>): string {
  const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
  const path = join(folder, "model.onnx");
  const weight = { name: "w", dims: [2n], dataType: DataType.FLOAT, dataLocation: DataLocation.EXTERNAL, externalData };
  writeFileSync(path, onnxBytes({ initializer: [weight] }));
  return path;
}
const read = async (entries: Readonly<Record<string, string>>): Promise<unknown> => {
  const model = await readModelFile(fileWith(entries), { allowExternalData: true });
  return model.graph.initializers.get("w")!.data;
};

describe("weights in other files", () => {
  test("are refused unless asked for", async () => {
    const refused = readModelFile(fileWith({ location: "weights.bin" }));
    await expect(refused).rejects.toMatchObject({ code: "model.external-data", context: { location: "weights.bin" } });
  });

  test.each([
    ["a file of the folder", { location: "weights.bin" }, [0, 1]],
    ["an offset and a length", { location: "weights.bin", offset: "8", length: "8" }, [2, 3]],
    ["a folder inside", { location: "sub/weights.bin", offset: "4" }, [1, 2]],
    ["a way out and in again", { location: "../model/weights.bin" }, [0, 1]],
  ])("are read from %s", async (_, entries, expected) => {
    expect(await read(entries)).toEqual(Float32Array.from(expected));
  });

  test.each([
    ["a file of the parent folder", { location: "../weights.bin" }],
    ["an absolute path", { location: "/etc/hostname" }],
    ["a symbolic link", { location: "soft.bin" }],
    ["a file behind a linked folder with the same beginning of its name", { location: "away/weights.bin" }],
    ["a hard link", { location: "hard.bin" }],
    ["a folder", { location: "sub" }],
    ["the model's folder", { location: "." }],
    ["no file at all", { location: "" }],
    ["a missing file", { location: "nothing.bin" }],
    ["a name with a zero byte", { location: "weights.bin\0" }],
    ["bytes beyond the end", { location: "weights.bin", offset: "12" }],
    ["an offset beyond the end", { location: "weights.bin", offset: "9007199254740000" }],
  ])("are refused as %s", async (_, entries) => {
    await expect(read(entries)).rejects.toMatchObject({ code: "model.external-data" });
  });

  test.each([
    ["a length of another size", { length: "4" }],
    ["a negative length", { length: "-1" }],
    ["a negative offset", { offset: "-4" }],
    ["an offset that is not whole", { offset: "0.5" }],
    ["an offset that is no number", { offset: "x" }],
  ])("with %s are malformed", async (_, entries) => {
    await expect(read({ location: "weights.bin", ...entries })).rejects.toMatchObject({ code: "model.malformed" });
  });
});

describe("model files", () => {
  const model = modelOf({ inputs: { x: [2] }, outputs: { y: [2] }, nodes: [node("Relu", ["x"], ["y"])] });

  test("are written and read", async () => {
    const path = join(base, "written.onnx");
    await writeModelFile(path, model);
    expect(await readModelFile(path)).toEqual(model);
  });

  test("that cannot be written leave nothing behind", async () => {
    const path = join(base, "taken.onnx");
    mkdirSync(path);
    await expect(writeModelFile(path, model)).rejects.toMatchObject({ code: "io.failed" });
    expect(readdirSync(base).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("that are missing or too large are named", async () => {
    const missing = readModelFile(join(base, "none.onnx"));
    await expect(missing).rejects.toMatchObject({ code: "io.not-found" });
    const path = join(base, "large.onnx");
    await writeModelFile(path, model);
    const large = readModelFile(path, { limits: { fileBytes: 10 } });
    await expect(large).rejects.toMatchObject({ code: "limit.exceeded", context: { path } });
  });
});
