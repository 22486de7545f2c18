import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { plainImage, temporaryFolder, writeFiles } from "../../../../test/helpers/vision-files.js";
import type { ErrorCode } from "../../../base/index.js";
import { encodeImage } from "../../image/decode.js";
import { readDataset } from "../read-dataset.js";
import type { Dataset } from "../types.js";

const root = temporaryFolder();
let picture: Uint8Array;
beforeAll(async () => {
  picture = await encodeImage(plainImage(20, 10, [1, 2, 3]));
});

const truthOf = (dataset: Dataset, index = 0, domain = 0) => dataset.domains[domain]!.truth!(index);
const shapeOf = ({ classes, domains }: Dataset) => ({
  classes,
  domains: domains.map(({ name, samples }) => `${name} ${samples}`),
});
const expectRefusal = (result: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> =>
  expect(result).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });

describe("COCO", () => {
  const instances = (changes: Record<string, unknown> = {}): string =>
    JSON.stringify({
      images: [
        { id: 7, file_name: "a.png", width: 20, height: 10 },
        { id: 3, file_name: "b.png" },
      ],
      categories: [
        { id: 9, name: "dog" },
        { id: 2, name: "cat" },
      ],
      annotations: [
        { id: 1, image_id: 7, category_id: 9, bbox: [1, 2, 3, 4.5], iscrowd: 0, area: 5 },
        { id: 2, image_id: 7, category_id: 2, bbox: [0, 0, 20, 10], iscrowd: 1 },
        { id: 3, image_id: 7, category_id: 2, bbox: [5, 5, 0, 2] },
      ],
      ...changes,
    });

  test("boxes become corners, categories classes by their ids; crowds stay crowds, boxes without an area go", async () => {
    const path = writeFiles(join(root, "coco"), {
      "annotations/instances_val2017.json": instances(),
      "annotations/captions_val2017.json": "{}",
      "val2017/a.png": picture,
      "val2017/b.png": picture,
    });
    const dataset = await readDataset(path);
    expect(shapeOf(dataset)).toEqual({ classes: ["cat", "dog"], domains: ["val2017 2"] });
    expect(await truthOf(dataset)).toEqual({
      boxes: [
        { label: 1, corners: [1, 2, 4, 6.5] },
        { label: 0, corners: [0, 0, 20, 10], crowd: true },
      ],
    });
    expect(await truthOf(dataset, 1)).toEqual({ boxes: [] });
    expect(dataset.domains[0]!.label(0)).toBe(-1);
    expect(await dataset.domains[0]!.read(1)).toMatchObject({ image: { width: 20 } });
    const file = await readDataset(join(path, "annotations/instances_val2017.json"), { classes: ["dog", "cat"] });
    expect((await truthOf(file)).boxes![0]!.label).toBe(0);
  });

  test("each split with a file of its own is a domain", async () => {
    const files = { "_annotations.coco.json": instances(), "a.png": picture, "b.png": picture };
    const path = join(root, "roboflow");
    for (const split of ["train", "valid"]) writeFiles(join(path, split), files);
    expect(shapeOf(await readDataset(path)).domains).toEqual(["train 2", "valid 2"]);
  });

  test.each([
    ["text that is not JSON", "{", /JSON expected/],
    [
      "a box of three numbers",
      instances({ annotations: [{ image_id: 7, category_id: 9, bbox: [1, 2, 3] }] }),
      /annotations\.0\.bbox/,
    ],
    [
      "a negative width",
      instances({ annotations: [{ image_id: 7, category_id: 9, bbox: [1, 2, -3, 4] }] }),
      /annotations\.0\.bbox\.2/,
    ],
    [
      "an unknown category",
      instances({ annotations: [{ image_id: 7, category_id: 1, bbox: [1, 2, 3, 4] }] }),
      /annotations\.0: .*category_id 1/,
    ],
    [
      "an unknown image",
      instances({ annotations: [{ image_id: 1, category_id: 9, bbox: [1, 2, 3, 4] }] }),
      /annotations\.0: .*image_id 1/,
    ],
    [
      "a picture outside of its folder",
      instances({
        images: [
          { id: 7, file_name: "../../a.png" },
          { id: 3, file_name: "b" },
        ],
      }),
      /pictures in/,
    ],
  ])("%s is refused, naming file and place", async (name, text, message) => {
    const path = join(writeFiles(join(root, "bad"), { [`${name}.json`]: text }), `${name}.json`);
    await expectRefusal(readDataset(path), "data.invalid", message);
  });
});

describe("VOC", () => {
  const object = (name: string, [xmin, ymin, xmax, ymax]: readonly (number | string)[], more = ""): string =>
    `<object>\n<name>${name}</name>${more}<bndbox><xmin>${xmin}</xmin><ymin>${ymin}</ymin><xmax>${xmax}</xmax><ymax>${ymax}</ymax></bndbox></object>\n`;
  const annotation = (...objects: readonly string[]): string =>
    `<?xml version="1.0"?>\n<!-- made by hand -->\n<annotation verified="yes">\n<path/>\n${objects.join("")}</annotation>\n`;
  const write = (name: string, files: Record<string, string | Uint8Array>) => writeFiles(join(root, name), files);

  test("corners counted from 1 become pixels; what is difficult is a crowd; a picture without a file is not labelled", async () => {
    const path = write("voc", {
      "JPEGImages/a.png": picture,
      "JPEGImages/b.png": picture,
      "Annotations/a.xml": annotation(
        object("dog", [1, 2, 20, 10]),
        object("cat &amp; kitten", [3, 3, 3, 3], "<difficult>1</difficult>"),
      ),
    });
    const dataset = await readDataset(path);
    expect(shapeOf(dataset)).toEqual({ classes: ["cat & kitten", "dog"], domains: ["voc 2"] });
    expect(await truthOf(dataset)).toEqual({
      boxes: [
        { label: 1, corners: [0, 1, 20, 10] },
        { label: 0, corners: [2, 2, 3, 3], crowd: true },
      ],
    });
    expect(await truthOf(dataset, 1)).toEqual({});
  });

  test("the lists of VOC are domains", async () => {
    const path = write("voc-lists", {
      ...{ "images/a.png": picture, "images/b.png": picture, "images/c.png": picture },
      ...{ "Annotations/a.xml": annotation(), "ImageSets/Main/train.txt": "a\nc\n", "ImageSets/Main/test.txt": "b\n" },
    });
    expect(shapeOf(await readDataset(path)).domains).toEqual(["train 2", "test 1"]);
  });

  test.each([
    ["an element that does not end", "<annotation>\n<object></annotation>", /a\.xml:2: <\/object> expected/],
    ["half of a file", "<annotation><object>", /a\.xml:1: <\/object> expected/],
    ["an entity", annotation(object("&evil;", [1, 1, 2, 2])), /a\.xml:6: no entity expected/],
    ["a document type", `<!DOCTYPE a [<!ENTITY b "c">]>${annotation()}`, /a\.xml:1: XML expected/],
    ["an unknown class", annotation(object("cow", [1, 1, 2, 2])), /a\.xml:5: a class among cat, dog expected/],
    ["a corner without a number", annotation(object("cat", [1, "", 2, 2])), /a\.xml:5: a number as ymin/],
    ["corners the wrong way round", annotation(object("cat", [9, 1, 2, 2])), /a\.xml: right and lower edges/],
    ["very deep elements", "<a>".repeat(40), /at most 32 deep/],
  ])("%s is refused, naming file and line, and leaves other pictures readable", async (name, text, message) => {
    const path = write(`voc ${name}`, {
      ...{ "images/a.png": picture, "images/b.png": picture },
      ...{ "Annotations/a.xml": text, "Annotations/b.xml": annotation(object("cat", [1, 1, 2, 2])) },
    });
    const dataset = await readDataset(path, { classes: ["cat", "dog"] });
    await expectRefusal(truthOf(dataset), "data.invalid", message);
    expect((await truthOf(dataset, 1)).boxes).toHaveLength(1);
  });
});

describe("YOLO", () => {
  const write = (name: string, files: Record<string, string | Uint8Array>) => writeFiles(join(root, name), files);

  test("shares of the picture become pixels; polygons their boxes; a picture without a file has no boxes", async () => {
    const path = write("yolo", {
      ...{ "images/a.png": picture, "images/b.png": picture },
      "labels/a.txt": "1 0.5 0.5 0.5 0.4\n\n0 0.1 0.2 0.3 0.2 0.3 0.9\r\n",
      "data.yaml": "path: .\ntrain: images\nnames:\n  0: cat # small\n  1: 'dog'\nnc: 2\n",
    });
    const dataset = await readDataset(path);
    expect(shapeOf(dataset)).toEqual({ classes: ["cat", "dog"], domains: ["yolo 2"] });
    const { boxes } = await truthOf(dataset);
    expect(boxes!.map(({ label }) => label)).toEqual([1, 0]);
    boxes!
      .flatMap(({ corners }) => [...corners])
      .forEach((edge, i) => expect(edge).toBeCloseTo([5, 3, 15, 7, 2, 2, 6, 9][i]!, 9));
    expect(await truthOf(dataset, 1)).toEqual({ boxes: [] });
    expect(shapeOf(await readDataset(join(path, "data.yaml")))).toEqual(shapeOf(dataset));
  });

  test.each([
    [
      "in both folders",
      {
        "images/train/a.png": "",
        "labels/train/a.txt": "2 .5 .5 .1 .1",
        "images/val/b.png": "",
        "labels/val/b.txt": "",
      },
    ],
    [
      "around both folders",
      {
        "train/images/a.png": "",
        "train/labels/a.txt": "2 .5 .5 .1 .1",
        "val/images/b.png": "",
        "val/labels/b.txt": "",
      },
    ],
  ])("splits %s are domains; without names classes are numbers", async (name, files) => {
    expect(shapeOf(await readDataset(write(`yolo ${name}`, files)))).toEqual({
      classes: ["0", "1", "2"],
      domains: ["train 1", "val 1"],
    });
  });

  test.each([
    ["[cat, 'a dog']", ["cat", "a dog"]],
    ["\n- cat\n- dog", ["cat", "dog"]],
    ["[cat,\n  dog]\nnc: 2", ["cat", "dog"]],
  ])("names: %j", async (names, expected) => {
    const path = write(`names ${expected.join()} ${names.length}`, {
      "images/a.png": "",
      "labels/a.txt": "",
      "my.yml": `names: ${names}`,
    });
    expect((await readDataset(path)).classes).toEqual(expected);
  });

  test.each([
    ["a class beyond the names", "2 .5 .5 .1 .1", /a\.txt:1: a class from 0 to 1/],
    ["a class that is no number", "0 .5 .5 .1 .1\ncat .5 .5 .1 .1", /a\.txt:2: a class from 0 to 1/],
    ["too few numbers", "0 .5 .5 .1", /a\.txt:1: a class and four numbers/],
    ["numbers in pixels", "0 50 50 10 10", /a\.txt:1: numbers from 0 to 1/],
    ["a width below zero", "0 .5 .5 -.1 .1", /a\.txt: right and lower edges/],
    ["a word", "0 .5 .5 .1 wide", /a\.txt:1: numbers from 0 to 1/],
  ])("%s is refused, naming file and line", async (name, text, message) => {
    const dataset = await readDataset(
      write(`yolo ${name}`, { "images/a.png": picture, "labels/a.txt": text, "classes.txt": "cat\ndog" }),
    );
    await expectRefusal(truthOf(dataset), "data.invalid", message);
  });

  test("more boxes than any picture has are refused", async () => {
    const path = write("yolo many", { "images/a.png": picture, "labels/a.txt": "0 .5 .5 .1 .1\n".repeat(10_001) });
    await expectRefusal(
      readDataset(path).then((dataset) => truthOf(dataset)),
      "limit.exceeded",
      /at most 10000 boxes/,
    );
  });

  test.each([["names: cat"], ["names:\n  0: cat\n  2: dog"], ["names:\nnc: 2"]])(
    "%j is refused with its line",
    async (text) => {
      const path = write(`yaml ${text.length}`, { "images/a.png": "", "labels/a.txt": "", "data.yaml": text });
      await expectRefusal(readDataset(path), "data.invalid", /data\.yaml:\d+: names/);
    },
  );
});

describe.runIf(process.env.LIMBER_DATA)("real label files (needs LIMBER_DATA)", () => {
  const data = process.env.LIMBER_DATA ?? "";
  const countBoxes = async ({ domains }: Dataset): Promise<number[]> => {
    const counts: number[] = [];
    for (const { samples, truth } of domains)
      for (let i = 0; i < samples; i++)
        for (const { label } of (await truth!(i)).boxes!) counts[label] = (counts[label] ?? 0) + 1;
    return counts;
  };

  test("blood cells: every object in the XML files of 182 pictures is read", async () => {
    const dataset = await readDataset(join(data, "det_bccd"));
    expect(dataset.domains.map(({ samples }) => samples)).toEqual([182]);
    expect(dataset.classes).toEqual(["Platelets", "RBC", "WBC"]);
    const counts = await countBoxes(dataset);
    expect(counts).toEqual([179, 2094, 187]);
  });

  test("COCO in text files: 64 pictures, boxes within them", async () => {
    const dataset = await readDataset(join(data, "coco_mini", "dev", "val2017"));
    expect(dataset.domains.map(({ samples }) => samples)).toEqual([64]);
    const { boxes } = await truthOf(dataset, 0);
    const reading = await dataset.domains[0]!.read(0);
    if ("unreadable" in reading) throw new Error(reading.unreadable);
    const { width, height } = reading.image;
    expect(boxes!.length).toBeGreaterThan(0);
    for (const { corners } of boxes!) {
      expect(Math.min(...corners)).toBeGreaterThanOrEqual(0);
      expect(corners[2] <= width && corners[3] <= height).toBe(true);
    }
  });
});
