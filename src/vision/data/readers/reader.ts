import type { LongCall } from "../../../base/index.js";
import { IMAGE_LIMITS, type ImageLimits } from "../../image/decode.js";
import type { Place } from "../../files.js";
import type { Dataset } from "../types.js";

export type DatasetFormat =
  "csv" | "coco" | "voc" | "yolo" | "masks" | "npz" | "npy" | "idx" | "records" | "folders" | "pictures";

/** How much a data set may hold. Beyond it, `limit.exceeded` names the limit. */
export interface DatasetLimits {
  readonly fileBytes: number;
  readonly samples: number;
  readonly domains: number;
  /** What array domains keep in memory after use; beyond it the one used longest ago is read again when needed. */
  readonly cacheBytes: number;
  readonly image: ImageLimits;
}

export const DATASET_LIMITS: DatasetLimits = {
  fileBytes: 2 ** 31 - 1, // Node reads no larger file in one piece
  samples: 5_000_000,
  domains: 10_000,
  cacheBytes: 2 ** 30,
  image: IMAGE_LIMITS,
};

export interface ReadDatasetOptions extends Pick<LongCall, "signal"> {
  /** Forces a reader; by default the first that recognises the path. */
  readonly format?: DatasetFormat | undefined;
  /** Class names in label order. Default: `classes.txt`, else the folder names, else the label numbers. */
  readonly classes?: readonly string[] | undefined;
  /** The domains to keep, in this order. Default: all. */
  readonly domains?: readonly string[] | undefined;
  /** Makes a domain of each value of this tag, as `light` has `day` and `dusk`. */
  readonly domainsBy?: string | undefined;
  /** Folders only: whether folders of the first level are classes or domains. Default: by the depth of the images. */
  readonly layout?: "class" | "domain" | undefined;
  /** Records only: candidate sizes of one image, such as `3x32x32` (planes x height x width). Default: CIFAR's. */
  readonly record?: readonly string[] | undefined;
  /** CIFAR-10-C only: take one fifth of each file, or each of the five as a domain `name/severity`. */
  readonly severity?: 1 | 2 | 3 | 4 | 5 | "each" | undefined;
  /** CSV and COCO only: accept paths outside of the folder that they are relative to. */
  readonly allowOutside?: boolean | undefined;
  readonly limits?: Partial<DatasetLimits> | undefined;
}

/** The options of one call with the limits filled in. */
export interface ReaderContext extends Omit<ReadDatasetOptions, "limits"> {
  readonly limits: DatasetLimits;
}

/** How one kind of data set is recognised and read. */
export interface DatasetReader {
  readonly format: DatasetFormat;
  /** What it reads, for messages. */
  readonly reads: string;
  /** Opens no file. */
  detects(place: Place): boolean | Promise<boolean>;
  read(place: Place, context: ReaderContext): Promise<Dataset>;
}
