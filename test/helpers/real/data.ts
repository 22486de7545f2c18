import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { invariant } from "../../../src/base/index.js";
import { type Dataset, decodeFile, type Domain, readDataset, UNLABELLED } from "../../../src/vision/index.js";
import type { LabelMap } from "./segmentation.js";

/** Picture files as a domain, named after their folder. */
export const pictures = (paths: readonly string[], labels: readonly number[] = []): Domain => ({
  name: basename(dirname(paths[0]!)),
  samples: paths.length,
  label: (index) => labels[index] ?? UNLABELLED,
  read: (index) => decodeFile(paths[index]!),
  pathOf: (index) => paths[index]!,
});

/** Pictures with a map of classes each, read when asked for. */
export interface Segmented {
  readonly images: Domain;
  labels(index: number): Promise<LabelMap>;
}

/** Driving frames that no published network was trained on; their maps hold 11 where nothing is labelled. */
export function camvid(data: string, light: "day" | "dusk"): Segmented {
  const folder = join(data, "camvid");
  const frames = rowsOf(join(folder, "frames.tsv"), "\t")
    .filter(([part, , , at, split]) => part === "dev" && at === light && split === "test")
    .map(([, file]) => stemOf(file!));
  return {
    images: pictures(frames.map((frame) => join(folder, "dev/images", `${frame}.jpg`))),
    labels: (index) => readLabels(join(folder, "dev/labels", `${frames[index]!}.png`)),
  };
}

async function readLabels(path: string): Promise<LabelMap> {
  const reading = await decodeFile(path);
  invariant("image" in reading, `${path} is a picture`);
  const { width, height, channels, data } = reading.image;
  return { width, height, classes: Uint8Array.from({ length: width * height }, (_, i) => data[i * channels]!) };
}

/** Photos with boxes from text files; classes by their numbers there. */
export const cocoPhotos = (data: string): Promise<Dataset> =>
  readDataset(join(data, "coco_mini/dev/val2017"), { classes: Array.from({ length: 80 }, (_, k) => String(k)) });

const stemOf = (path: string): string => basename(path).replace(/\.\w+$/, "");
const rowsOf = (path: string, separator: string): string[][] =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => line.split(separator));
