import { cocoReader } from "./coco.js";
import { csvReader } from "./csv.js";
import { foldersReader } from "./folders.js";
import { idxReader } from "./idx.js";
import { masksReader } from "./masks.js";
import { npyReader } from "./npy.js";
import { npzReader } from "./npz.js";
import { picturesReader } from "./pictures.js";
import type { DatasetReader } from "./reader.js";
import { recordsReader } from "./records.js";
import { vocReader } from "./voc.js";
import { yoloReader } from "./yolo.js";

/** All kinds of data set, in the order in which they are tried. */
export const DATASET_READERS: readonly DatasetReader[] = [
  csvReader,
  npzReader,
  idxReader,
  npyReader,
  recordsReader,
  cocoReader,
  masksReader,
  vocReader,
  yoloReader,
  foldersReader,
  picturesReader,
];
