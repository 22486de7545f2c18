import { extname, join } from "node:path";
import { LimberError, throwIfAborted } from "../../../base/index.js";
import { IMAGE_EXTENSIONS } from "../../image/decode.js";
import { readPlace, stemOf, type Place } from "../../files.js";
import { findClasses } from "../classes.js";
import { fileDomain } from "../file-domain.js";
import type { DatasetReader, ReaderContext } from "./reader.js";

/** How deep folders may nest; a link that leads back to its parent ends here. */
const DEEPEST = 16;

export const isImage = (name: string): boolean => IMAGE_EXTENSIONS.includes(extname(name).toLowerCase());

/**
 * Folders of pictures, named after their class: `root/class/*.jpg`, or `root/domain/class/*.jpg`. The splits `root/train/class` and
 * `root/val/class` are domains like any other. Classes are the folder names in order, or the list given.
 */
export const foldersReader: DatasetReader = {
  format: "folders",
  reads: "folders of pictures, class/*.jpg or domain/class/*.jpg",
  detects: ({ folders }) => folders.length > 0,

  async read(root, context) {
    const name = stemOf(root.path);
    const places = await Promise.all(root.folders.map((folder) => readPlace(join(root.path, folder))));
    const layout = context.layout ?? (await findLayout(root, places));
    const parents =
      layout === "class" ? [{ name, place: root }] : places.map((place, i) => ({ name: root.folders[i]!, place }));
    const inOrder = [...new Set(parents.flatMap(({ place }) => place.folders))].sort();
    const classes = context.classes ?? (await findClasses(root.path)) ?? inOrder;
    const strange = inOrder.find((folder) => !classes.includes(folder));
    if (strange !== undefined) {
      throw new LimberError(
        "data.invalid",
        `${root.path}: a folder for each of ${classes.join(", ")} expected, got "${strange}"; correct the list of classes`,
        { path: root.path },
      );
    }
    const domains = [];
    for (const parent of parents) {
      const paths: string[] = [];
      const labels: number[] = [];
      for (const folder of parent.place.folders) {
        await collect(join(parent.place.path, folder), paths, context, 1);
        while (labels.length < paths.length) labels.push(classes.indexOf(folder));
      }
      domains.push(fileDomain({ name: parent.name, paths, labels, limits: context.limits.image }));
    }
    return { name, classes, domains };
  },
};

/**
 * Where the pictures are decides what the first level of folders is; what lies deeper in a folder that has pictures is part of it.
 * Throws: `data.invalid` when they are nowhere, or when some folders have pictures and others have folders of pictures.
 */
async function findLayout(root: Place, places: readonly Place[]): Promise<"class" | "domain"> {
  const holds = (place: Place): boolean => place.files.some(isImage);
  const asClass = places.find(holds);
  let asDomain: Place | undefined;
  for (const place of places.filter((each) => !holds(each))) {
    for (const folder of place.folders)
      asDomain ??= holds(await readPlace(join(place.path, folder))) ? place : undefined;
  }
  if (asClass !== undefined && asDomain === undefined) return "class";
  if (asDomain !== undefined && asClass === undefined) return "domain";
  const problem =
    asClass && asDomain
      ? `pictures at one depth expected, got some in ${asClass.path} and, one folder deeper, in ${asDomain.path}; say which is meant with layout "class" or "domain"`
      : `pictures in class/ or domain/class/ expected, got none; endings read are ${IMAGE_EXTENSIONS.join(" ")}`;
  throw new LimberError("data.invalid", `${root.path}: ${problem}`, { path: root.path });
}

/** Adds the pictures in a folder and below it, in order of their names. Throws: `limit.exceeded`, `aborted`. */
async function collect(folder: string, paths: string[], context: ReaderContext, depth: number): Promise<void> {
  throwIfAborted(context.signal);
  const { files, folders } = await readPlace(folder);
  for (const file of files) if (isImage(file)) paths.push(join(folder, file));
  if (paths.length > context.limits.samples || depth > DEEPEST) {
    const expected = depth > DEEPEST ? `folders at most ${DEEPEST} deep` : `at most ${context.limits.samples} pictures`;
    throw new LimberError("limit.exceeded", `${folder}: ${expected} expected, got more; split the data set`, {
      path: folder,
    });
  }
  for (const inner of folders) await collect(join(folder, inner), paths, context, depth + 1);
}
