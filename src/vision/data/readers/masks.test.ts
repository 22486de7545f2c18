import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { plainImage, temporaryFolder, writeFiles } from "../../../../test/helpers/vision-files.js";
import { decodeMask } from "../../image/decode-mask.js";
import { encodeImage } from "../../image/decode.js";
import { readDataset } from "../read-dataset.js";
import type { Dataset } from "../types.js";

/** Palette pictures of 4 × 2 with random colours, a transparent one and a gamma, as Pillow writes them, and what Pillow reads. */
const PALETTES: readonly (readonly [bits: number, base64: string, indices: readonly number[]])[] = [
  [
    1,
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAACAQMAAABFZu8gAAAABGdBTUEAALGPC/xhBQAAAAZQTFRFeYPB8wgk8qUFtwAAAAJ0Uk5T/wDltzBKAAAADElEQVR4nGNIYDIAAAFYAJO4b6KpAAAAAElFTkSuQmCC",
    [0, 1, 1, 0, 1, 0, 0, 1],
  ],
  [
    2,
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAACAgMAAAACxpXwAAAABGdBTUEAALGPC/xhBQAAAAxQTFRF0vI/T95sRdNBaKSMSVqY5AAAAAJ0Uk5T/wDltzBKAAAADElEQVR4nGOwZDIGAADmAG8EJSSEAAAAAElFTkSuQmCC",
    [0, 3, 2, 1, 1, 2, 3, 0],
  ],
  [
    4,
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAACBAMAAACNhmBQAAAABGdBTUEAALGPC/xhBQAAADBQTFRFFQfdwNaJ0VRzyR9NH3T6ImJn5zSAQwXAD0d/fB37v/YXuUuK7Ea5KVL4a4RKHWyfw9e+OQAAAAJ0Uk5T/wDltzBKAAAADklEQVR4nGPkz2SQfAQAAw8BdSeWb0QAAAAASUVORK5CYII=",
    [0, 15, 7, 8, 1, 9, 14, 2],
  ],
  [
    8,
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAMAAABIdo1RAAAABGdBTUEAALGPC/xhBQAAADxQTFRFdMZcnMXqbQq3h991Xg91pMXaN5fNQljXlIKsgvvADSWL0RGuwsnfMY7NWzB6FDjaqtzX4E94nkbrAdaluT2JxAAAAAJ0Uk5T/wDltzBKAAAAEklEQVR4nGNgYOQWZmBkYOMGAADsADJM5vkKAAAAAElFTkSuQmCC",
    [0, 1, 11, 19, 1, 0, 6, 11],
  ],
];
const LETTERS = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
const palette = Buffer.from(PALETTES[3]![1], "base64");

const root = temporaryFolder();
const greyOf = (...data: number[]): Promise<Uint8Array> =>
  encodeImage({ width: 4, height: 2, channels: 1, data: Uint8Array.from(data) });
let picture: Uint8Array;
let grey: Uint8Array;
beforeAll(async () => {
  picture = await encodeImage(plainImage(4, 2, [10, 20, 30]));
  grey = await greyOf(0, 1, 2, 3, 11, 12, 200, 255);
});

const maskAt = async ({ domains }: Dataset, domain: number, index: number): Promise<number[]> => [
  ...(await domains[domain]!.truth!(index)).mask!.data,
];
const refusal = (dataset: Dataset, index: number): Promise<unknown> =>
  dataset.domains[0]!.truth!(index).then(
    () => "no error",
    (error: unknown) => error,
  );

describe("a mask in a PNG", () => {
  it.each(PALETTES)(
    "is read as the %d-bit numbers that it stores, whatever the palette shows",
    async (_, base64, indices) => {
      const { width, height, data } = await decodeMask(Buffer.from(base64, "base64"), 100);
      expect({ width, height, data: [...data] }).toEqual({ width: 4, height: 2, data: indices });
    },
  );

  it("is read as its levels where it is grey", async () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const png = await encodeImage({ width: 16, height: 16, channels: 1, data: all });
    expect((await decodeMask(png, 256)).data).toEqual(all);
  });

  it("is refused with a reason where it has colours, is no PNG, is damaged or too large", async () => {
    const reason = async (bytes: Uint8Array, pixels = 100): Promise<string> =>
      decodeMask(bytes, pixels, "m.png").then(
        () => "none",
        (error: unknown) => String(error),
      );
    expect(await reason(picture)).toMatch(
      /m\.png: classes as the numbers of a grey or palette PNG .* got colours, 8 bits/,
    );
    expect(await reason(await encodeImage(plainImage(4, 2, [1]), "jpeg"))).toMatch(/a PNG expected, got another kind/);
    expect(await reason(palette, 7)).toMatch(/pixel limit/);
    for (let length = 0; length < palette.length - 12; length += 7)
      expect(await reason(palette.subarray(0, length))).toMatch(/m\.png: /);
  });
});

describe("masks", () => {
  it("beside pictures get names from classes.txt; numbers beyond them and (ignore) count as ignored", async () => {
    const path = writeFiles(join(root, "camvid", "dev"), {
      "../classes.txt": `${LETTERS.join("\n")}\nUnlabelled(ignore)\n`,
      "images/1.png": picture,
      "images/2.png": picture,
      "labels/1.png": grey,
      "labels/2.png": palette,
      "../frames.tsv": "part\tfile\tlight\ndev\t2.png\tdusk\nholdout\t3.png\tday\n",
    });
    const dataset = await readDataset(path);
    expect(dataset.classes).toEqual(LETTERS);
    const [domain] = dataset.domains;
    expect([domain!.name, domain!.samples, domain!.label(0)]).toEqual(["dev", 2, -1]);
    expect(await domain!.read(0)).toHaveProperty("image");
    expect(await maskAt(dataset, 0, 0)).toEqual([0, 1, 2, 3, 255, 255, 255, 255]);
    expect(await maskAt(dataset, 0, 1)).toEqual([0, 1, 255, 255, 1, 0, 6, 255]);
    expect([domain!.tags!(0), domain!.tags!(1)]).toEqual([[], ["part=dev", "light=dusk"]]);
    const byLight = await readDataset(path, { domainsBy: "light", domains: ["dusk", "no light"] });
    expect(byLight.domains.map(({ name, samples }) => [name, samples])).toEqual([
      ["dusk", 1],
      ["no light", 1],
    ]);
    expect(await maskAt(byLight, 0, 0)).toEqual(await maskAt(dataset, 0, 1));
    await expect(readDataset(path, { domainsBy: "weather" })).rejects.toThrow(/expected to split by, got "weather"/);
  });

  it("are numbered by the largest number in them where nobody names the classes", async () => {
    const path = writeFiles(join(root, "bare"), {
      "images/1.png": picture,
      "images/2.png": picture,
      "labels/1.png": await greyOf(0, 0, 3, 3, 1, 255, 255, 0),
      "labels/2.png": picture,
    });
    const dataset = await readDataset(path);
    expect(dataset.classes).toEqual(["0", "1", "2", "3"]);
    expect(await maskAt(dataset, 0, 0)).toEqual([0, 0, 3, 3, 1, 255, 255, 0]);
    expect((await readDataset(path, { classes: ["x", "y"] })).classes).toEqual(["x", "y"]);
  });

  it("that are missing, damaged or no masks fail alone, with code and path", async () => {
    const path = writeFiles(join(root, "torn"), {
      "images/1.png": picture,
      "images/2.png": picture,
      "images/3.png": picture,
      "images/4.png": picture,
      "labels/1.png": grey,
      "labels/2.png": grey.subarray(0, 60),
      "labels/3.png": picture,
      "classes.txt": "a\nb\n",
    });
    const dataset = await readDataset(path);
    expect(await maskAt(dataset, 0, 0)).toEqual([0, 1, 255, 255, 255, 255, 255, 255]);
    for (const [index, message] of [
      /2\.png: a whole PNG/,
      /3\.png: .*got colours/,
      /4\.png: a file that can be read/,
    ].entries())
      expect(await refusal(dataset, index + 1)).toMatchObject({
        code: "data.invalid",
        message: expect.stringMatching(message) as string,
      });
  });

  it("of VOC are those of its pictures that have one, in its 21 classes", async () => {
    const path = writeFiles(join(root, "VOC2012"), {
      "JPEGImages/a.jpg": picture,
      "JPEGImages/b.jpg": picture,
      "SegmentationClass/b.png": palette,
    });
    const dataset = await readDataset(path);
    expect([dataset.classes.length, dataset.classes[15], dataset.domains[0]!.samples]).toEqual([21, "person", 1]);
    expect(dataset.domains[0]!.pathOf(0)).toBe(join(path, "JPEGImages", "b.jpg"));
    expect(await maskAt(dataset, 0, 0)).toEqual([0, 1, 11, 19, 1, 0, 6, 11]);
  });

  it("of Cityscapes are turned into its 19 classes, splits as domains and cities as tags", async () => {
    const path = writeFiles(join(root, "cityscapes"), {
      "leftImg8bit/train/aachen/aachen_1_leftImg8bit.png": picture,
      "leftImg8bit/val/bonn/bonn_1_leftImg8bit.png": picture,
      "leftImg8bit/val/bonn/notes.txt": "",
      "gtFine/train/aachen/aachen_1_gtFine_labelIds.png": await greyOf(7, 8, 11, 33, 0, 34, 26, 9),
      "gtFine/val/bonn/bonn_1_gtFine_labelIds.png": await greyOf(7, 7, 7, 7, 23, 23, 23, 23),
    });
    const dataset = await readDataset(path);
    expect(dataset.classes).toHaveLength(19);
    expect(dataset.domains.map(({ name, tags }) => [name, tags!(0)])).toEqual([
      ["train", ["city=aachen"]],
      ["val", ["city=bonn"]],
    ]);
    expect(await maskAt(dataset, 0, 0)).toEqual([0, 1, 2, 18, 255, 255, 13, 255]);
    expect(await maskAt(dataset, 1, 0)).toEqual([0, 0, 0, 0, 10, 10, 10, 10]);
    const cities = await readDataset(path, { domainsBy: "city" });
    expect(cities.domains.map(({ name }) => name)).toEqual(["train/aachen", "val/bonn"]);
  });

  it("are asked for by name where folders of classes are meant otherwise, and frames.tsv has to name files", async () => {
    const path = writeFiles(join(root, "other"), { "images/a.png": picture, "labels/b.jpg": picture });
    expect((await readDataset(path)).classes).toEqual(["images", "labels"]);
    await expect(readDataset(join(root, "camvid"), { format: "masks" })).rejects.toThrow(
      /leftImg8bit and gtFine expected/,
    );
    writeFiles(join(root, "torn"), { "frames.tsv": "name\tlight\n1.png\tday\n" });
    await expect(readDataset(join(root, "torn"))).rejects.toThrow(/a column "file" expected/);
    writeFiles(join(root, "torn"), { "frames.tsv": "file\tlight\n1.png\n" });
    await expect(readDataset(join(root, "torn"))).rejects.toMatchObject({ code: "data.invalid" });
  });
});
