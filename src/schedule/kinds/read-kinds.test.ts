import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { squares, TINY_PREPROCESSING, tinyNetwork } from "../../../test/helpers/tiny.js";
import { addGates, writeModel } from "../../graph/index.js";
import { tensorOf } from "../../base/index.js";
import {
  type Domain,
  preprocessingToMetadata,
  writeNpy,
  nameShift,
  parseDrift,
  parseShift,
} from "../../vision/index.js";
import { readKinds } from "./read-kinds.js";
import { WORLD_KINDS } from "./world-kinds.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "limber-kinds-"));
  const network = tinyNetwork();
  const metadata = new Map(network.metadata).set(...preprocessingToMetadata(TINY_PREPROCESSING));
  await writeFile(join(folder, "plain.onnx"), writeModel({ ...network, metadata }));
  const master = addGates(network, { initial: "he", seed: 3 });
  await writeFile(
    join(folder, "master.onnx"),
    writeModel({ ...master, metadata: new Map([...metadata, ...master.metadata]) }),
  );
  await mkdir(join(folder, "data"));
  for (const name of ["bright", "dark"]) await writeFile(join(folder, "data", `${name}.npy`), await arrayOf(48));
  const labels = tensorOf(
    "int32",
    [48],
    Array.from({ length: 48 }, (_, i) => i % 4),
  );
  await writeFile(join(folder, "data", "labels.npy"), writeNpy(labels));
});
afterAll(() => rm(folder, { recursive: true }));

/** Squares as bytes, so that a picture is told from another by its place alone. */
async function arrayOf(count: number): Promise<Uint8Array> {
  const domain = squares("any", count);
  const images: number[] = [];
  for (let index = 0; index < count; index++) {
    const reading = await domain.read(index);
    if ("image" in reading)
      images.push(...Array.from(reading.image.data, (x) => Math.max(0, Math.min(255, Math.round(x)))));
  }
  return writeNpy({ dtype: "uint8", dims: [count, 16, 16, 3], data: Uint8Array.from(images) });
}

const KIND = {
  ...{
    name: "squares",
    model: "plain.onnx",
    data: "data",
    source: "bright",
    drifts: ["dark", "dark, fog 4", "snow 2"],
  },
  ...{ batchSize: 4, camera: { fps: 2, pictures: 4, images: 8 } },
};

async function describeKinds(...kinds: readonly object[]) {
  const path = join(folder, "apps.json");
  await writeFile(path, JSON.stringify({ world: "squares", kinds }));
  return readKinds(path);
}

const pathsOf = (domain: Domain): string[] =>
  Array.from({ length: domain.samples }, (_, index) => domain.pathOf(index).replace(/ \(.*/u, ""));

describe("kinds of a file", () => {
  test("know a task, levels and a source; a master learns by ElasticDNN, any other model by patches", async () => {
    const { world, kinds } = await describeKinds(KIND, {
      ...KIND,
      name: "elastic",
      model: "master.onnx",
      sparsities: [0.5, 0],
    });
    expect([world, ...kinds.map(({ name, source }) => `${name} ${source}`)]).toEqual([
      "squares",
      "squares bright",
      "elastic bright",
    ]);
    const [patches, elastic] = await Promise.all(kinds.map((kind) => kind.open()));
    expect([patches!.task, patches!.isTaught, elastic!.task, elastic!.isTaught]).toEqual([
      "classification",
      true,
      "classification",
      false,
    ]);
  });

  test("no picture has two uses: the source's own, frames and lessons share none, in any drift and for any seed", async () => {
    const { kinds } = await describeKinds(KIND);
    const [kind] = kinds;
    const own = pathsOf(kind!.sourcePictures(100));
    expect(own).toHaveLength(16);
    for (const seed of [0, 1])
      for (const drift of [kind!.source, ...kind!.drifts]) {
        const [frames, lessons] = (["frames", "lessons"] as const).map((use) =>
          pathsOf(kind!.pictures(drift, { use, seed, count: 100 })),
        );
        expect(frames!.length + lessons!.length).toBe(drift.startsWith("dark") ? 48 : 32);
        expect(new Set([...own, ...frames!, ...lessons!]).size).toBe(own.length + frames!.length + lessons!.length);
      }
    const framesOf = (seed: number) => pathsOf(kind!.pictures("dark", { use: "frames", seed, count: 8 }));
    expect(framesOf(0)).toHaveLength(8);
    expect(framesOf(1)).not.toEqual(framesOf(0));
  });

  test("estimates are fitted on the source's own pictures, under corruptions that no camera shows", async () => {
    const { kinds } = await describeKinds(KIND);
    const [kind] = kinds;
    const drifts = kind!.recordedDrifts(100);
    const own = new Set(pathsOf(kind!.sourcePictures(100)));
    const validation = drifts.filter(({ isValidation }) => isValidation);
    expect(validation).toHaveLength(13); // of 15 published ones
    for (const { name, domain } of validation) {
      expect(name).not.toMatch(/fog|snow/u);
      expect(new Set(pathsOf(domain))).toEqual(own);
    }
    expect(drifts.filter(({ isValidation }) => !isValidation).map(({ name }) => name)).toEqual(KIND.drifts);
  });

  test.each([
    ["a corruption on both sides", { validation: ["snow 5"] }, "config.invalid", /validation of "squares".*got snow/u],
    ["a drift that there is not", { drifts: ["dusk"] }, "config.invalid", /bright, dark expected, got "dusk"/u],
    ["a corruption without its severity", { validation: ["fog"] }, "config.invalid", /such as "fog 4", got "fog"/u],
    ["too few pictures", { batchSize: 16 }, "data.invalid", /got 16 of 32 in a part of "source"/u],
    ["a field that is none", { fps: 3 }, "config.invalid", /kinds\.0.*fps/u],
    ["a model that is not there", { model: "none.onnx" }, "io.not-found", /none\.onnx/u],
  ])("%s is refused", async (_, change, code, message) => {
    const refused = describeKinds({ ...KIND, ...change });
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  test("text that is no JSON, and a file that is not there, are refused", async () => {
    const path = join(folder, "text.json");
    await writeFile(path, "apps");
    await expect(readKinds(path)).rejects.toMatchObject({ code: "config.invalid" });
    await expect(readKinds(join(folder, "none.json"))).rejects.toMatchObject({ code: "io.not-found" });
  });
});

describe("names of drifts", () => {
  test("say a domain, corruptions with their severities, or both", () => {
    expect(parseDrift("dusk")).toEqual({ domain: "dusk", shift: [] });
    expect(parseDrift("dusk, fog 4, snow 1")).toEqual({
      domain: "dusk",
      shift: [
        ["fog", 4],
        ["snow", 1],
      ],
    });
    expect(parseDrift("fog 4")).toEqual({ domain: undefined, shift: [["fog", 4]] });
    expect(nameShift(parseShift("fog 4,snow 1"))).toBe("fog 4, snow 1");
  });
});

describe("kinds of the embedded world", () => {
  test("show other handwriting in frames than in lessons, and validation is day under corruptions", () => {
    const [kind] = WORLD_KINDS.kinds;
    const [frames, lessons] = (["frames", "lessons"] as const).map((use) =>
      kind!.pictures("fog", { use, seed: 0, count: 4 }),
    );
    expect(pathsOf(frames!)).not.toEqual(pathsOf(lessons!));
    const drifts = kind!.recordedDrifts(8);
    expect(drifts.filter(({ isValidation }) => isValidation)).toHaveLength(37);
    expect(
      drifts
        .filter(({ isValidation }) => !isValidation)
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...kind!.drifts].sort());
  });
});
