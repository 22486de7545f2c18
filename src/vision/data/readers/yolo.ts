import { dirname, join } from "node:path";
import { throwIfAborted } from "../../../base/index.js";
import { findImageSize } from "../../image/size.js";
import { exists, type Place, readBytes, readPlace, stemOf } from "../../files.js";
import { findClasses } from "../classes.js";
import { fileDomain } from "../file-domain.js";
import type { Corners, Truth, TruthBox } from "../truth.js";
import { UNLABELLED } from "../types.js";
import { checkBoxes, folderIn, labelError, picturesIn } from "./labelled-boxes.js";
import type { DatasetReader, ReaderContext } from "./reader.js";
import { findYamlNames } from "./yaml-names.js";

/** Of one label file. */
const MOST_BYTES = 2 ** 24;
/** How far beyond the picture, as a share of it, edges may be that were rounded. */
const SLACK = 0.01;

/** Pictures, and where the text files of their boxes are. */
interface Split {
  readonly name: string;
  readonly pictures: string;
  readonly labels: string;
}

/**
 * Pictures with a text file of boxes for each, one line a box: class, then centre, width and height as shares of the picture, or the
 * corners of a polygon, whose box it is. The folders are `images` and `labels`, with the splits in both or around them; a picture without a file has no
 * boxes. The path is the folder or a `.yaml` file in it. Class names come from the list given, `names` of a `.yaml` file there, `classes.txt`, or are numbers.
 * Source: the format of Darknet and Ultralytics YOLO.
 */
export const yoloReader: DatasetReader = {
  format: "yolo",
  reads: "pictures and boxes in text, images/*.jpg and labels/*.txt (YOLO)",
  detects: async (place) => (await findSplits(await folderOf(place))).length > 0,

  async read(place, context) {
    const root = await folderOf(place);
    const splits = await findSplits(root);
    if (splits.length === 0) throw labelError(root.path, "images/*.jpg and labels/*.txt", "none");
    const classes =
      context.classes ??
      (await findYamlNames(place.isFolder ? root : place)) ??
      (await findClasses(root.path)) ??
      (await findClasses(splits[0]!.labels)) ??
      (await numberClasses(splits, context));
    const domains = [];
    for (const { name, pictures, labels } of splits) {
      const files = picturesIn(await readPlace(pictures));
      domains.push(
        fileDomain({
          name,
          paths: files.map((file) => join(pictures, file)),
          labels: new Int32Array(files.length).fill(UNLABELLED),
          limits: context.limits.image,
          truth: async (index): Promise<Truth> => {
            const picture = join(pictures, files[index]!);
            const path = join(labels, `${stemOf(picture)}.txt`);
            if (!(await exists(path))) return { boxes: [] };
            const shares = await readShares(path, classes.length);
            const size = shares.length === 0 ? undefined : await findImageSize(picture, context.limits.image);
            if (size === undefined && shares.length > 0) throw labelError(picture, "a picture of known size", "none");
            const boxes = shares.map(({ label, corners }) => ({
              label,
              corners: corners.map((share, i) => share * (i % 2 === 0 ? size!.width : size!.height)) as [
                number,
                number,
                number,
                number,
              ],
            }));
            return { boxes: checkBoxes(boxes, path) };
          },
        }),
      );
    }
    return { name: stemOf(root.path), classes, domains };
  },
};

const folderOf = (place: Place): Promise<Place> =>
  place.isFolder || !/\.ya?ml$/.test(place.path) ? Promise.resolve(place) : readPlace(dirname(place.path));

/** `images` beside `labels` here, with or without splits in both, or in the folders here. */
async function findSplits(root: Place): Promise<Split[]> {
  const here = await pairIn(root);
  if (here === undefined) {
    const inner = await Promise.all(root.folders.map((folder) => readPlace(join(root.path, folder))));
    return (await Promise.all(inner.map(pairIn))).flatMap((split) => split ?? []);
  }
  const { folders } = await readPlace(here.pictures);
  const splits = folders.map((name) => ({
    name,
    pictures: join(here.pictures, name),
    labels: join(here.labels, name),
  }));
  const labelled = await Promise.all(splits.map(({ labels }) => holdsText(labels)));
  return labelled.some(Boolean) ? splits : (await holdsText(here.labels)) ? [here] : [];
}

async function pairIn(place: Place): Promise<Split | undefined> {
  const [pictures, labels] = [folderIn(place, /^images$/i), folderIn(place, /^(labels|boxes)/i)];
  if (pictures === undefined || labels === undefined) return undefined;
  return { name: stemOf(place.path), pictures: join(place.path, pictures), labels: join(place.path, labels) };
}

const holdsText = async (folder: string): Promise<boolean> =>
  (await exists(folder)) && (await readPlace(folder)).files.some((file) => file.endsWith(".txt"));

/** Corners as shares of the picture. Throws: `data.invalid`, naming the line. */
async function readShares(path: string, classes: number): Promise<TruthBox[]> {
  const lines = Buffer.from(await readBytes(path, MOST_BYTES))
    .toString("utf8")
    .split(/\r?\n/);
  return lines.flatMap((line, i) => {
    if (line.trim() === "") return [];
    const where = `${path}:${i + 1}`;
    const [label, ...numbers] = line.trim().split(/\s+/).map(Number) as [number, ...number[]];
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw labelError(where, `a class from 0 to ${classes - 1}`, JSON.stringify(line.slice(0, 40)));
    const isPolygon = numbers.length >= 6 && numbers.length % 2 === 0;
    if (numbers.length !== 4 && !isPolygon)
      throw labelError(where, "a class and four numbers, or corners of a polygon", JSON.stringify(line.slice(0, 40)));
    const corners = isPolygon ? hullOf(numbers) : around(numbers as [number, number, number, number]);
    if (!corners.every((edge) => edge >= -SLACK && edge <= 1 + SLACK))
      throw labelError(where, "numbers from 0 to 1, shares of the picture", JSON.stringify(line.slice(0, 40)));
    const [left, top, right, bottom] = corners.map((edge) => Math.min(Math.max(edge, 0), 1)) as [
      number,
      number,
      number,
      number,
    ];
    return [{ label, corners: [left, top, right, bottom] }];
  });
}

const around = ([x, y, width, height]: [number, number, number, number]): Corners => [
  x - width / 2,
  y - height / 2,
  x + width / 2,
  y + height / 2,
];

function hullOf(points: readonly number[]): Corners {
  const [xs, ys] = [0, 1].map((axis) => points.filter((_, i) => i % 2 === axis)) as [number[], number[]];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** "0", "1", … up to the largest number in any label file. Cost: reads every one. Those that cannot be read are told of when their picture is. */
async function numberClasses(splits: readonly Split[], { signal }: ReaderContext): Promise<string[]> {
  let count = 0;
  for (const { labels } of splits) {
    for (const file of (await readPlace(labels)).files.filter((name) => name.endsWith(".txt"))) {
      throwIfAborted(signal);
      const boxes = await readShares(join(labels, file), MOST_CLASSES).catch(() => []);
      for (const { label } of boxes) count = Math.max(count, label + 1);
    }
  }
  return Array.from({ length: count }, (_, i) => String(i));
}

const MOST_CLASSES = 65_536;
