import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { beforeAll, describe, expect, it } from "vitest";
import { isLimberError, tensorOf, type ErrorCode, type NumericDType } from "../../base/index.js";
import { encodeImage } from "../image/decode.js";
import { plainImage, temporaryFolder, writeFiles } from "../../../test/helpers/vision-files.js";
import { writeNpy } from "./npy.js";
import { readDataset } from "./read-dataset.js";
import type { ReadDatasetOptions } from "./readers/reader.js";
import type { Dataset, Domain } from "./types.js";

const root = temporaryFolder();
let png: Uint8Array;
beforeAll(async () => {
  png = await encodeImage(plainImage(2, 3, [10, 20, 30]));
});

const range = (count: number, start = 0): number[] => Array.from({ length: count }, (_, i) => start + i);
const npy = (dtype: NumericDType, dims: number[], values: number[]): Uint8Array =>
  writeNpy(tensorOf(dtype, dims, values));
const labelsOf = (domain: Domain): number[] => range(domain.samples).map((i) => domain.label(i));
const summary = ({ classes, domains }: Dataset) => ({
  classes,
  domains: Object.fromEntries(domains.map((d) => [d.name, labelsOf(d)])),
});

async function pixelsOf(dataset: Dataset, domain: number, index: number): Promise<number[]> {
  const reading = await dataset.domains[domain]!.read(index);
  if ("unreadable" in reading) throw new Error(reading.unreadable);
  return [...reading.image.data];
}

async function expectError(
  path: string,
  code: ErrorCode,
  message: RegExp,
  options?: ReadDatasetOptions,
): Promise<void> {
  const error: unknown = await readDataset(path, options).then(
    () => "no error",
    (failure: unknown) => failure,
  );
  expect(error).toSatisfy((value) => isLimberError(value));
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) as string });
}

describe("folders", () => {
  it("takes first-level folders with pictures for classes, sorted, and reads nested pictures", async () => {
    const path = writeFiles(join(root, "classes"), {
      "cat/b.png": png,
      "cat/old/a.PNG": png,
      "ant/1.png": png,
      "bee/notes.txt": "",
    });
    const dataset = await readDataset(path);
    expect(summary(dataset)).toEqual({ classes: ["ant", "bee", "cat"], domains: { classes: [0, 2, 2] } });
    expect(dataset.domains[0]!.pathOf(1)).toBe(join(path, "cat", "b.png"));
    expect(await pixelsOf(dataset, 0, 2)).toEqual(range(6).flatMap(() => [10, 20, 30]));
  });

  it("takes them for domains when pictures lie one level deeper, splits included, and joins their classes", async () => {
    const path = writeFiles(join(root, "domains"), {
      "val/cat/a.png": png,
      "train/ant/a.png": png,
      "train/cat/a.png": png,
    });
    expect(summary(await readDataset(path))).toEqual({ classes: ["ant", "cat"], domains: { train: [0, 1], val: [1] } });
  });

  it("keeps the domains that are asked for, in that order", async () => {
    const path = join(root, "domains");
    const { domains } = await readDataset(path, { domains: ["val", "train"] });
    expect(domains.map(({ name }) => name)).toEqual(["val", "train"]);
    await expectError(path, "config.invalid", /among train, val expected, got "test"/, { domains: ["test"] });
  });

  it("asks for the layout when pictures lie at both depths, and obeys it", async () => {
    const path = writeFiles(join(root, "both"), { "a/1.png": png, "b/c/2.png": png });
    await expectError(path, "data.invalid", /say which is meant with layout/);
    expect(summary(await readDataset(path, { layout: "class" }))).toEqual({
      classes: ["a", "b"],
      domains: { both: [0, 1] },
    });
    expect(summary(await readDataset(path, { layout: "domain" }))).toEqual({
      classes: ["c"],
      domains: { a: [], b: [0] },
    });
  });

  it("takes class order from classes.txt and refuses folders that it does not name", async () => {
    const path = writeFiles(join(root, "listed"), {
      "classes.txt": "zebra\nant\n",
      "ant/a.png": png,
      "zebra/a.png": png,
    });
    expect(summary(await readDataset(path))).toEqual({ classes: ["zebra", "ant"], domains: { listed: [1, 0] } });
    await expectError(path, "data.invalid", /got "zebra"/, { classes: ["ant"] });
  });

  it("says what it reads when there is nothing to read", async () => {
    await expectError(
      writeFiles(join(root, "texts"), { "a/readme.txt": "" }),
      "data.invalid",
      /pictures in class\/ or domain\/class\//,
    );
    await expectError(
      writeFiles(join(root, "notes"), { "a.txt": "" }),
      "data.invalid",
      /Limber reads .*CIFAR-10 binary/,
    );
    await expectError(join(root, "absent"), "io.not-found", /absent.*check the path/);
    await expectError(join(root, "classes"), "limit.exceeded", /at most 1 /, { limits: { samples: 1 } });
  });
});

describe("pictures", () => {
  it("are read without labels when they lie right in a folder, in order of their names", async () => {
    const folder = writeFiles(join(root, "camera"), { "b.png": png, "a.png": png, "readme.txt": "" });
    const { name, classes, domains } = await readDataset(folder);
    expect({ name, classes }).toEqual({ name: "camera", classes: [] });
    const [domain] = domains;
    expect([0, 1].map((i) => [domain!.pathOf(i), domain!.label(i)])).toEqual([
      [join(folder, "a.png"), -1],
      [join(folder, "b.png"), -1],
    ]);
    expect(await domain!.read(1)).toHaveProperty("image");
  });
});

describe("CIFAR-10 binary and other records", () => {
  /** A record whose planes are filled with 1, 2, 3, … */
  const record = (label: number, planes: number, area: number): number[] => [
    label,
    ...range(planes).flatMap((c) => Array<number>(area).fill(c + 1)),
  ];

  it("joins CIFAR's training files, reads its class names, and interleaves the planes", async () => {
    const path = writeFiles(join(root, "cifar"), {
      "data_batch_1.bin": Uint8Array.from([...record(3, 3, 1024), ...record(1, 3, 1024)]),
      "data_batch_2.bin": Uint8Array.from(record(0, 3, 1024)),
      "test_batch.bin": Uint8Array.from(record(2, 3, 1024)),
      "batches.meta.txt": "a\nb\nc\nd\n\n",
    });
    const dataset = await readDataset(path);
    expect(summary(dataset)).toEqual({ classes: ["a", "b", "c", "d"], domains: { train: [3, 1, 0], test: [2] } });
    expect((await pixelsOf(dataset, 0, 2)).slice(0, 6)).toEqual([1, 2, 3, 1, 2, 3]);
    expect(dataset.domains[0]!.pathOf(2)).toBe(`${join(path, "data_batch_2.bin")}[0]`);
  });

  it("chooses for each file the given size that fills it", async () => {
    const path = writeFiles(join(root, "records"), {
      "grey.bin": Uint8Array.from([...record(1, 1, 6), ...record(0, 1, 6)]),
      "color.bin": Uint8Array.from(record(1, 3, 4)),
    });
    const dataset = await readDataset(path, { record: ["1x3x2", "3x2x2"] });
    expect(summary(dataset)).toEqual({ classes: ["0", "1"], domains: { color: [1], grey: [1, 0] } });
    expect(await pixelsOf(dataset, 1, 1)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it("proposes a size that would fit, refuses two that fit, odd sizes and labels beyond the classes", async () => {
    const path = join(writeFiles(join(root, "odd"), { "x.bin": new Uint8Array(785).fill(7) }), "x.bin");
    await expectError(path, "data.invalid", /785 bytes in all; it would hold 1 of 1x28x28/);
    await expectError(path, "config.invalid", /1x28x28 and 1x2x2/, { record: ["1x28x28", "1x2x2"] });
    await expectError(path, "config.invalid", /got "28x28"/, { record: ["28x28"] });
    await expectError(path, "data.invalid", /labels from 0 to 1 expected, got 7 at row 0/, {
      record: ["1x28x28"],
      classes: ["a", "b"],
    });
  });
});

describe("IDX", () => {
  const idx = (dims: number[], data: number[]): Buffer => {
    const head = Buffer.from([0, 0, 8, dims.length, ...dims.flatMap((d) => [0, 0, d >> 8, d & 255])]);
    return Buffer.concat([head, Uint8Array.from(data)]);
  };
  const images = idx([2, 2, 1], [1, 2, 3, 4]);
  const labels = idx([2], [5, 0]);

  it("pairs images with labels, plain or gzipped, in a folder or by file", async () => {
    const path = writeFiles(join(root, "idx"), {
      "train-images-idx3-ubyte": images,
      "train-labels-idx1-ubyte.gz": gzipSync(labels),
      "t10k-images.idx3-ubyte.gz": gzipSync(images),
      "t10k-labels.idx1-ubyte": labels,
    });
    const dataset = await readDataset(path);
    expect(summary(dataset)).toEqual({ classes: range(6).map(String), domains: { t10k: [5, 0], train: [5, 0] } });
    expect(await pixelsOf(dataset, 0, 1)).toEqual([3, 4]);
    expect((await readDataset(join(path, "train-images-idx3-ubyte"))).domains[0]!.samples).toBe(2);
  });

  it.each<[string, Buffer, Buffer, RegExp]>([
    ["another magic word", Buffer.concat([Buffer.from([0, 0, 13, 3]), images.subarray(4)]), labels, /got 0x00000d03/],
    ["a high magic word", Buffer.concat([Buffer.from([255, 0, 8, 3]), images.subarray(4)]), labels, /got 0xff000803/],
    ["an empty file", Buffer.alloc(0), labels, /IDX file of bytes/],
    ["cut dimensions", images.subarray(0, 7), labels, /3 dimensions expected/],
    ["cut pixels", images.subarray(0, -1), labels, /20 bytes for \[2,2,1\] expected, got 19/],
    ["another number of labels", images, idx([1], [0]), /2 labels expected/],
  ])("refuses %s", async (title, imageBytes, labelBytes, message) => {
    const path = writeFiles(join(root, "idx-bad", title), {
      "a-images-idx3-ubyte": imageBytes,
      "a-labels-idx1-ubyte": labelBytes,
    });
    await expectError(path, "data.invalid", message);
  });

  it("refuses damaged gzip data, data that unpack beyond the limit, and images without labels", async () => {
    const damaged = writeFiles(join(root, "idx-gz"), {
      "a-images-idx3-ubyte.gz": "no gzip",
      "a-labels-idx1-ubyte": labels,
    });
    await expectError(damaged, "data.invalid", /damaged/);
    const bomb = writeFiles(join(root, "idx-bomb"), {
      "a-images-idx3-ubyte.gz": gzipSync(Buffer.alloc(100_000)),
      "a-labels-idx1-ubyte": labels,
    });
    await expectError(bomb, "limit.exceeded", /at most 1000 bytes/, { limits: { fileBytes: 1000 } });
    await expectError(
      writeFiles(join(root, "idx-alone"), { "a-images-idx3-ubyte": images }),
      "io.not-found",
      /a-labels-idx1-ubyte/,
    );
  });
});

describe("npy folders", () => {
  const rows = (count: number): Uint8Array => npy("uint8", [count, 1, 1, 3], range(count * 3));

  it("makes each file a domain, takes the first labels when there are more, and shares one load among images", async () => {
    const path = writeFiles(join(root, "npy"), {
      "fog.npy": rows(4),
      "snow.npy": rows(2),
      "labels.npy": npy("int64", [4], [0, 1, 2, 0]),
    });
    const dataset = await readDataset(path);
    expect(summary(dataset)).toEqual({ classes: ["0", "1", "2"], domains: { fog: [0, 1, 2, 0], snow: [0, 1] } });
    expect(await pixelsOf(dataset, 0, 3)).toEqual([9, 10, 11]);
    const [a, b] = await Promise.all([dataset.domains[0]!.read(0), dataset.domains[0]!.read(1)]);
    expect("image" in a && "image" in b && a.image.data.buffer === b.image.data.buffer).toBe(true);
    expect((await readDataset(join(path, "snow.npy"))).domains.map(({ name }) => name)).toEqual(["snow"]);
  });

  it("cuts five times as many rows as labels into severities", async () => {
    const path = writeFiles(join(root, "severities"), {
      "fog.npy": rows(10),
      "labels.npy": npy("uint8", [2, 1], [1, 0]),
    });
    const dataset = await readDataset(path);
    expect(summary(dataset).domains).toEqual(Object.fromEntries(range(5, 1).map((level) => [`fog/${level}`, [1, 0]])));
    expect(await pixelsOf(dataset, 4, 1)).toEqual([27, 28, 29]);
    expect((await readDataset(path, { severity: 3 })).domains.map(({ name }) => name)).toEqual(["fog/3"]);
  });

  it("cuts a file with a label per row into severities when asked to", async () => {
    const path = writeFiles(join(root, "published"), {
      "fog.npy": rows(10),
      "labels.npy": npy("uint8", [10], [0, 1, 0, 1, 0, 1, 0, 1, 1, 1]),
    });
    expect(summary(await readDataset(path)).domains).toEqual({ fog: [0, 1, 0, 1, 0, 1, 0, 1, 1, 1] });
    const dataset = await readDataset(path, { severity: 5 });
    expect(summary(dataset).domains).toEqual({ "fog/5": [1, 1] });
    expect(await pixelsOf(dataset, 0, 0)).toEqual([24, 25, 26]);
  });

  it("reads planes, grey arrays, and floats as levels; those within 0 and 1 are scaled back", async () => {
    const path = writeFiles(join(root, "kinds"), {
      "planes.npy": npy("uint8", [1, 3, 1, 2], [1, 2, 3, 4, 5, 6]),
      "grey.npy": npy("uint8", [1, 2, 2], [1, 2, 3, 4]),
      "levels.npy": npy("float64", [1, 1, 2], [0.5, 254.5]),
      "unit.npy": npy("float32", [1, 1, 3], [0, 0.5, NaN]),
      "labels.npy": npy("int32", [1], [0]),
    });
    const dataset = await readDataset(path, { domains: ["planes", "grey", "levels", "unit"] });
    expect(await pixelsOf(dataset, 0, 0)).toEqual([1, 3, 5, 2, 4, 6]);
    expect(await pixelsOf(dataset, 1, 0)).toEqual([1, 2, 3, 4]);
    expect(await pixelsOf(dataset, 2, 0)).toEqual([0.5, 254.5]);
    expect(await pixelsOf(dataset, 3, 0)).toEqual([0, 127.5, NaN]);
  });

  it.each<[string, Record<string, Uint8Array>, ErrorCode, RegExp]>([
    ["no labels", { "a.npy": rows(1) }, "io.not-found", /labels\.npy/],
    [
      "fewer labels than images",
      { "a.npy": rows(3), "labels.npy": npy("uint8", [2], [0, 0]) },
      "data.invalid",
      /2 images, or 5 severities/,
    ],
    [
      "float labels",
      { "a.npy": rows(1), "labels.npy": npy("float32", [1], [0]) },
      "data.invalid",
      /integer labels of shape \[N\]/,
    ],
    [
      "negative labels",
      { "a.npy": rows(2), "labels.npy": npy("int8", [2], [0, -1]) },
      "data.invalid",
      /got -1 at row 1/,
    ],
    [
      "cut images",
      { "a.npy": rows(2).subarray(0, -1), "labels.npy": npy("uint8", [2], [0, 0]) },
      "data.invalid",
      /truncated/,
    ],
    [
      "a wrong header",
      { "a.npy": Buffer.from("\x93NUMPX\x01\x00aaaaaaaa", "latin1"), "labels.npy": npy("uint8", [2], [0, 0]) },
      "data.invalid",
      /NumPy array expected/,
    ],
    [
      "two channels",
      { "a.npy": npy("uint8", [1, 4, 4, 2], range(32)), "labels.npy": npy("uint8", [1], [0]) },
      "data.invalid",
      /1 or 3 channels/,
    ],
    ["no image", { "labels.npy": npy("uint8", [1], [0]) }, "data.invalid", /got no image/],
  ])("refuses %s", async (title, files, code, message) => {
    await expectError(writeFiles(join(root, "npy-bad", title), files), code, message);
  });

  it("reports each sample of a file that cannot be loaded any more as unreadable", async () => {
    const path = writeFiles(join(root, "vanishing"), { "a.npy": rows(2), "labels.npy": npy("uint8", [2], [0, 0]) });
    const dataset = await readDataset(path);
    writeFiles(path, { "a.npy": "replaced" });
    expect(await dataset.domains[0]!.read(0)).toEqual({
      unreadable: expect.stringMatching(/NumPy array expected/) as string,
    });
  });
});

describe("npz", () => {
  const zip = (arrays: Record<string, Uint8Array>): Uint8Array =>
    zipSync(Object.fromEntries(Object.entries(arrays).map(([key, bytes]) => [`${key}.npy`, bytes])));
  const x = npy("uint8", [2, 1, 2], [1, 2, 3, 4]);

  it("reads images with labels, x with y, and pairs with a suffix as domains", async () => {
    const path = writeFiles(join(root, "npz"), {
      "one.npz": zip({ images: x, labels: npy("uint8", [2], [1, 0]), extra: x }),
      "two.npz": zip({
        x_train: x,
        y_train: npy("int64", [2, 1], [1, 2]),
        x_test: x,
        y_test: npy("int64", [2], [0, 0]),
      }),
    });
    const one = await readDataset(join(path, "one.npz"));
    expect(summary(one)).toEqual({ classes: ["0", "1"], domains: { one: [1, 0] } });
    expect(await pixelsOf(one, 0, 1)).toEqual([3, 4]);
    expect(summary(await readDataset(join(path, "two.npz")))).toEqual({
      classes: ["0", "1", "2"],
      domains: { train: [1, 2], test: [0, 0] },
    });
  });

  it.each<[string, () => Uint8Array, ErrorCode, RegExp]>([
    ["other keys", () => zip({ pixels: x, labels: x }), "data.invalid", /got pixels, labels/],
    [
      "a cut archive",
      () => zip({ x, y: npy("uint8", [2], [0, 0]) }).subarray(0, -30),
      "data.invalid",
      /zip archive expected/,
    ],
    ["other bytes", () => Buffer.from("nothing"), "data.invalid", /zip archive expected/],
    [
      "more images than labels",
      () => zip({ x, y: npy("uint8", [1], [0]) }),
      "data.invalid",
      /1 images expected from the labels, got 2/,
    ],
    [
      "an archive that unpacks beyond the limit",
      () => zip({ x: npy("uint8", [1, 100, 100], Array<number>(10_000).fill(0)), y: x }),
      "limit.exceeded",
      /at most 2000 bytes/,
    ],
  ])("refuses %s", async (title, bytes, code, message) => {
    const path = join(writeFiles(join(root, "npz-bad", title), { "a.npz": bytes() }), "a.npz");
    await expectError(path, code, message, { limits: { fileBytes: 2000 } });
  });
});

describe("CSV manifest", () => {
  const manifest = (name: string, text: string): string =>
    join(writeFiles(join(root, "csv"), { [`${name}.csv`]: text, "pictures/a.png": png }), `${name}.csv`);

  it("reads names of classes, domains in order of appearance and further columns as tags", async () => {
    const text =
      '\ufeffpath,label,domain,light\r\npictures/a.png,zebra,night,dark\r\n"pictures/gone, too.png",ant,day,\r\npictures/a.png,ant,night,dim\r\n';
    const dataset = await readDataset(manifest("full", text));
    expect(summary(dataset)).toEqual({ classes: ["ant", "zebra"], domains: { night: [1, 0], day: [0] } });
    const [night, day] = dataset.domains;
    expect([night!.tags!(0), night!.tags!(1), day!.tags!(0)]).toEqual([["light=dark"], ["light=dim"], []]);
    expect(await pixelsOf(dataset, 0, 1)).toHaveLength(18);
    expect(await day!.read(0)).toEqual({ unreadable: expect.stringMatching(/ENOENT/) as string });
  });

  it("takes labels that are all numbers for class numbers", async () => {
    expect(
      summary(await readDataset(manifest("numbers", "label,path\n2,pictures/a.png\n10,pictures/a.png\n"))),
    ).toEqual({
      classes: range(11).map(String),
      domains: { numbers: [2, 10] },
    });
    const named = await readDataset(manifest("named", "path,label\npictures/a.png,1\n"), { classes: ["x", "y"] });
    expect(summary(named)).toEqual({ classes: ["x", "y"], domains: { named: [1] } });
  });

  it.each(["../../etc/passwd", "/etc/passwd", "pictures/../../x.png", "."])(
    "refuses the path %s, which leaves the folder",
    async (file) => {
      await expectError(
        manifest("outside", `path,label\n${file},a\n`),
        "data.invalid",
        /inside of the manifest's folder expected.*row 1/,
      );
    },
  );

  it("accepts paths outside when that is allowed", async () => {
    const dataset = await readDataset(manifest("allowed", "path,label\n../classes/ant/1.png,a\n"), {
      allowOutside: true,
    });
    expect(await pixelsOf(dataset, 0, 0)).toHaveLength(18);
  });

  it.each<[string, string, RegExp]>([
    ["no header", "pictures/a.png,cat\n", /header with the columns path,label expected, got "pictures\/a.png,cat"/],
    ["an empty table", "path,label\n", /got no image/],
    ["an empty file", "", /got no image/],
    ["an empty label", "path,label\npictures/a.png,\n", /none in row 1/],
    ["rows of other length", "path,label\npictures/a.png\n", /well-formed CSV/],
    ["an open quote", 'path,label\n"pictures/a.png,a\n', /well-formed CSV/],
  ])("refuses %s", async (_, text, message) => {
    await expectError(manifest("bad", text), "data.invalid", message);
  });

  it("refuses labels that the given classes do not name", async () => {
    await expectError(
      manifest("strange", "path,label\npictures/a.png,cat\n"),
      "data.invalid",
      /labels among dog expected, got "cat"/,
      { classes: ["dog"] },
    );
    await expectError(manifest("beyond", "path,label\npictures/a.png,1\n"), "data.invalid", /got "1"/, {
      classes: ["dog"],
    });
  });
});
