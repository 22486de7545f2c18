import { dirname, join } from "node:path";
import { z } from "zod";
import { LimberError } from "../../../base/index.js";
import { exists, type Place, readBytes, readPlace, stemOf } from "../../files.js";
import { fileDomain } from "../file-domain.js";
import type { TruthBox } from "../truth.js";
import { type Dataset, UNLABELLED } from "../types.js";
import { isInside } from "./csv.js";
import { checkBoxes, labelError } from "./labelled-boxes.js";
import type { DatasetReader, ReaderContext } from "./reader.js";

const instancesSchema = z.object({
  images: z.array(z.object({ id: z.int(), file_name: z.string().min(1) })),
  categories: z.array(z.object({ id: z.int(), name: z.string() })).min(1),
  annotations: z.array(
    z.object({
      image_id: z.int(),
      category_id: z.int(),
      /** Left, top, width, height. */
      bbox: z.tuple([z.number(), z.number(), z.number().min(0), z.number().min(0)]),
      iscrowd: z.union([z.literal(0), z.literal(1), z.boolean()]).default(0),
    }),
  ),
});
type Instances = z.output<typeof instancesSchema>;

/**
 * Pictures with the boxes of all in one JSON file, or a folder with such files: `annotations/instances_*.json`, or `_annotations.coco.json` beside the
 * pictures of each split. A file is a domain, named after its split. Pictures lie beside the file, or in `images`, in a folder named like the
 * split, or in that of `images`, beside it or one folder above. Classes are the categories in order of their ids, or the list given,
 * matched by name. Source: https://cocodataset.org/#format-data.
 */
export const cocoReader: DatasetReader = {
  format: "coco",
  reads: "boxes in COCO's JSON, instances_*.json",
  detects: async (place) => (await findLabelFiles(place)).length > 0,

  async read(place, context) {
    const files = await findLabelFiles(place);
    if (files.length === 0) throw labelError(place.path, "instances_*.json or _annotations.coco.json", "none");
    const parts: Dataset[] = [];
    for (const file of files) parts.push(await readInstances(file, context));
    const { classes } = parts[0]!;
    const other = parts.find((part) => part.classes.join("\n") !== classes.join("\n"));
    if (other) throw labelError(place.path, `categories ${classes.join(", ")} in all files`, other.classes.join(", "));
    return { name: stemOf(place.path), classes, domains: parts.flatMap(({ domains }) => domains) };
  },
};

const ROBOFLOW = "_annotations.coco.json";

/** Opens none of them. */
async function findLabelFiles({ path, isFolder, files, folders }: Place): Promise<string[]> {
  if (!isFolder) return path.endsWith(".json") ? [path] : [];
  const isInstances = (file: string): boolean => file === ROBOFLOW || /^instances.*\.json$/.test(file);
  const inFolders = await Promise.all(
    folders.map(async (folder) =>
      (await readPlace(join(path, folder))).files
        .filter((file) => isInstances(file) && (file === ROBOFLOW) !== (folder === "annotations"))
        .map((file) => join(path, folder, file)),
    ),
  );
  return [...files.filter(isInstances).map((file) => join(path, file)), ...inFolders.flat()];
}

async function readInstances(path: string, { classes: given, limits, allowOutside }: ReaderContext): Promise<Dataset> {
  const { images, categories, annotations } = parseInstances(await readBytes(path, limits.fileBytes), path);
  if (images.length > limits.samples) {
    const message = `${path}: at most ${limits.samples} images expected, got ${images.length}; split the data set`;
    throw new LimberError("limit.exceeded", message, { path });
  }
  const ordered = categories.toSorted((a, b) => a.id - b.id);
  const classes = given ?? ordered.map(({ name }) => name);
  const labels = new Map(ordered.map(({ id, name }) => [id, classes.indexOf(name)]));
  const boxes = new Map<number, TruthBox[]>(images.map(({ id }) => [id, []]));
  annotations.forEach(({ image_id, category_id, bbox: [x, y, width, height], iscrowd }, i) => {
    const label = labels.get(category_id) ?? -1;
    const of = boxes.get(image_id);
    const where = `${path}: annotations.${i}`;
    if (of === undefined) throw labelError(where, "the id of an image", `image_id ${image_id}`);
    if (label < 0)
      throw labelError(
        where,
        `the id of a class among ${classes.slice(0, 20).join(", ")}`,
        `category_id ${category_id}`,
      );
    of.push({ label, corners: [x, y, x + width, y + height], ...(Boolean(iscrowd) && { crowd: true }) });
  });
  const name = splitOf(path);
  const folder = await findPictures(path, name, images[0]?.file_name);
  const paths = images.map(({ file_name }) => join(folder, file_name));
  const outside = allowOutside ? undefined : paths.find((file) => !isInside(folder, file));
  if (outside !== undefined) throw labelError(path, `pictures in ${folder}`, outside);
  const domain = fileDomain({
    name,
    paths,
    labels: new Int32Array(images.length).fill(UNLABELLED),
    limits: limits.image,
    truth: async (index) =>
      Promise.resolve({ boxes: checkBoxes(boxes.get(images[index]!.id)!, `${path}: image ${images[index]!.id}`) }),
  });
  return { name, classes, domains: [domain] };
}

function parseInstances(bytes: Uint8Array, path: string): Instances {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw labelError(path, "JSON", error instanceof Error ? error.message : "other text");
  }
  const result = instancesSchema.safeParse(value);
  if (result.success) return result.data;
  const [{ path: at, message }] = result.error.issues as [z.core.$ZodIssue];
  throw labelError(path, "images, categories and annotations of COCO", `${at.join(".")}: ${message}`);
}

/** `instances_val2017.json` → val2017, `train/_annotations.coco.json` → train. */
const splitOf = (path: string): string =>
  path.endsWith(ROBOFLOW) ? stemOf(dirname(path)) : stemOf(path).replace(/^instances_(?=.)/, "");

/** The first folder that holds the first picture; that of the label file where none does. */
async function findPictures(path: string, split: string, first: string | undefined): Promise<string> {
  const beside = dirname(path);
  const folders = [beside, dirname(beside)].flatMap((at) => [
    at,
    join(at, "images"),
    join(at, split),
    join(at, "images", split),
  ]);
  for (const folder of folders) if (first !== undefined && (await exists(join(folder, first)))) return folder;
  return beside;
}
