import { join } from "node:path";
import { throwIfAborted } from "../../../base/index.js";
import { exists, type Place, readBytes, readPlace, stemOf } from "../../files.js";
import { findClasses } from "../classes.js";
import { fileDomain } from "../file-domain.js";
import type { Truth } from "../truth.js";
import { UNLABELLED } from "../types.js";
import { checkBoxes, folderIn, labelError, picturesIn } from "./labelled-boxes.js";
import type { DatasetReader, ReaderContext } from "./reader.js";
import { parseXml, type XmlElement } from "./xml.js";

/** Of one label file. */
const MOST_BYTES = 2 ** 24;

/**
 * Pictures with an XML file of boxes for each: VOC's `Annotations` beside `JPEGImages` or `images`, or both kinds of file in one folder.
 * Corners are pixels counted from 1, both inside; objects marked as difficult count as crowds. A picture without a file is not labelled.
 * The lists `ImageSets/Main/train.txt`, `val` and `test` are domains, where they are. Classes come from the list given, `classes.txt`,
 * or all label files, in order of their names; labels of other classes are refused. Source: PASCAL VOC development kit.
 */
export const vocReader: DatasetReader = {
  format: "voc",
  reads: "pictures and boxes in XML, VOC's JPEGImages and Annotations",
  detects: async (place) => (await findLayout(place)) !== undefined,

  async read(place, context) {
    const layout = await findLayout(place);
    if (layout === undefined) throw labelError(place.path, "Annotations/*.xml beside JPEGImages or images", "none");
    const { pictures, labels } = layout;
    const files = picturesIn(await readPlace(pictures));
    const labelFiles = new Set((await readPlace(labels)).files.filter(isXml).map(stemOf));
    const classes =
      context.classes ?? (await findClasses(place.path)) ?? (await nameClasses(labels, [...labelFiles], context));
    const domains = (await splitsOf(place, files)).map(({ name, members }) =>
      fileDomain({
        name,
        paths: members.map((file) => join(pictures, file)),
        labels: new Int32Array(members.length).fill(UNLABELLED),
        limits: context.limits.image,
        truth: async (index): Promise<Truth> => {
          const stem = stemOf(members[index]!);
          return labelFiles.has(stem) ? readBoxes(join(labels, `${stem}.xml`), classes) : {};
        },
      }),
    );
    return { name: stemOf(place.path), classes, domains };
  },
};

const isXml = (file: string): boolean => file.endsWith(".xml");

async function findLayout(place: Place): Promise<{ pictures: string; labels: string } | undefined> {
  const { path, files } = place;
  if (picturesIn(place).length > 0 && files.some(isXml)) return { pictures: path, labels: path };
  const [pictures, labels] = [folderIn(place, /^(jpegimages|images)$/i), folderIn(place, /^annotations/i)];
  if (pictures === undefined || labels === undefined) return undefined;
  const holds = (await readPlace(join(path, labels))).files.some(isXml);
  return holds ? { pictures: join(path, pictures), labels: join(path, labels) } : undefined;
}

/** The lists of VOC, or one domain of all pictures. */
async function splitsOf({ path }: Place, files: readonly string[]): Promise<{ name: string; members: string[] }[]> {
  const byStem = new Map(files.map((file) => [stemOf(file), file]));
  const splits: { name: string; members: string[] }[] = [];
  for (const name of ["train", "val", "test"]) {
    const list = join(path, "ImageSets", "Main", `${name}.txt`);
    if (!(await exists(list))) continue;
    const stems = textOf(await readBytes(list, MOST_BYTES)).split(/\s+/);
    splits.push({ name, members: stems.flatMap((stem) => byStem.get(stem) ?? []) });
  }
  return splits.length > 0 ? splits : [{ name: stemOf(path), members: [...files] }];
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

const readAnnotation = async (path: string): Promise<XmlElement> =>
  parseXml(textOf(await readBytes(path, MOST_BYTES)), path);

const objectsOf = ({ children }: XmlElement): readonly XmlElement[] => children.filter(({ name }) => name === "object");
const findText = ({ children }: XmlElement, name: string): string | undefined =>
  children.find((child) => child.name === name)?.text;

async function readBoxes(path: string, classes: readonly string[]): Promise<Truth> {
  const objects = objectsOf(await readAnnotation(path));
  const boxes = objects.map((object) => {
    const where = `${path}:${object.line}`;
    const name = findText(object, "name") ?? "";
    const label = classes.indexOf(name);
    if (label < 0) throw labelError(where, `a class among ${classes.slice(0, 20).join(", ")}`, JSON.stringify(name));
    const box = object.children.find((child) => child.name === "bndbox");
    const [left, top, right, bottom] = ["xmin", "ymin", "xmax", "ymax"].map((side) => {
      const text = box && findText(box, side);
      const pixels = text ? Number(text) : NaN;
      if (!Number.isFinite(pixels))
        throw labelError(where, `a number as ${side} of the bndbox`, JSON.stringify(text ?? "none"));
      return pixels;
    }) as [number, number, number, number];
    const crowd = findText(object, "difficult") === "1";
    // some tools count from 0
    return {
      label,
      corners: [Math.max(0, left - 1), Math.max(0, top - 1), right, bottom] as const,
      ...(crowd && { crowd }),
    };
  });
  return { boxes: checkBoxes(boxes, path) };
}

/** All names in the label files, in order. Cost: reads every one. Those that cannot be read are told of when their picture is. */
async function nameClasses(folder: string, stems: readonly string[], { signal }: ReaderContext): Promise<string[]> {
  const names = new Set<string>();
  for (const stem of stems) {
    throwIfAborted(signal);
    const annotation = await readAnnotation(join(folder, `${stem}.xml`)).catch(() => undefined);
    for (const object of annotation ? objectsOf(annotation) : []) names.add(findText(object, "name") ?? "");
  }
  return [...names].filter((name) => name !== "").sort();
}
