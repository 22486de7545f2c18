import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LimberError, toNumbers, type Tensor } from "../../../base/index.js";
import { blockDomain, blockOf, pixelShapeOf } from "../block.js";
import { BlockCache } from "../cache.js";
import { fileError } from "../../../run/node.js";
import { readBytes, stemOf, tooLarge } from "../../files.js";
import { classesOf, findClasses } from "../classes.js";
import { NPY_HEADER_LIMIT, readNpy, readNpyHeader } from "../npy.js";
import type { Domain } from "../types.js";
import type { DatasetReader, ReadDatasetOptions } from "./reader.js";

const LABELS = "labels.npy";
const SEVERITIES = [1, 2, 3, 4, 5] as const;

/**
 * Arrays as CIFAR-10-C keeps them: one `.npy` of images per domain beside one `labels.npy`.
 * Headers and sizes are checked at once, pixels are loaded when first read.
 * Source: https://zenodo.org/records/2535967.
 */
export const npyReader: DatasetReader = {
  format: "npy",
  reads: "images as .npy beside labels.npy (CIFAR-10-C)",
  detects: ({ path, isFolder, files }) =>
    isFolder ? files.some((name) => name.endsWith(".npy")) : path.endsWith(".npy"),

  async read({ path, isFolder, files }, context) {
    const { limits } = context;
    const folder = isFolder ? path : dirname(path);
    const labelsPath = join(folder, LABELS);
    const labels = readLabels(readNpy(await readBytes(labelsPath, limits.fileBytes), labelsPath), labelsPath);
    const classes = classesOf(context.classes ?? (await findClasses(folder)), [labels], labelsPath);
    const arrays = isFolder
      ? files.filter((name) => name.endsWith(".npy") && name !== LABELS).map((name) => join(folder, name))
      : [path];
    const cache = new BlockCache(limits.cacheBytes);
    const domains: Domain[] = [];
    for (const array of arrays) {
      const { rows, sizeBytes } = await readImagesHeader(array, limits.fileBytes);
      const block = () =>
        cache.get(array, sizeBytes, async () =>
          blockOf(readNpy(await readBytes(array, limits.fileBytes), array), array),
        );
      for (const { suffix, firstRow, labels: own } of sliceRows(rows, labels, context.severity, array)) {
        domains.push(blockDomain({ name: stemOf(array) + suffix, labels: own, path: array, block, firstRow }));
      }
    }
    return { name: stemOf(path), classes, domains };
  },
};

/** Labels `[N]` or `[N,1]` of any integer type. Throws: `data.invalid`. */
export function readLabels(tensor: Tensor, path: string): Int32Array {
  const [count = 0, ...rest] = tensor.dims;
  if (tensor.dims.length === 0 || rest.some((size) => size !== 1) || !/^u?int/.test(tensor.dtype)) {
    const got = `got ${tensor.dtype} [${tensor.dims.join(",")}]`;
    throw new LimberError(
      "data.invalid",
      `${path}: integer labels of shape [N] expected, ${got}; save one class number per image`,
      { path },
    );
  }
  // a label too large for 32 bits becomes -1, which no class has
  return Int32Array.from(toNumbers(tensor).slice(0, count), (label) => (label === (label | 0) ? label : -1));
}

async function readImagesHeader(path: string, maximumBytes: number): Promise<{ rows: number; sizeBytes: number }> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > maximumBytes) throw tooLarge(path, size, maximumBytes);
    const head = Buffer.alloc(Math.min(size, NPY_HEADER_LIMIT));
    await file.read(head, 0, head.length, 0);
    const { dims, dataOffset, dataBytes } = readNpyHeader(head, path);
    if (size !== dataOffset + dataBytes) {
      const damage = size < dataOffset + dataBytes ? "truncated" : "damaged";
      throw new LimberError(
        "data.invalid",
        `${path}: ${dataOffset + dataBytes} bytes expected, got ${size}; the file is ${damage}, copy it again`,
        { path },
      );
    }
    pixelShapeOf(dims.slice(1), path);
    return { rows: dims[0]!, sizeBytes: dataBytes };
  } catch (error) {
    throw fileError(path, error);
  }
}

interface Slice {
  readonly suffix: string;
  readonly firstRow: number;
  readonly labels: Int32Array;
}

/**
 * Joins the rows of a file to labels. Five times as many rows as labels are the five severities; so are the fifths of a file when
 * `severity` asks for them (the published files repeat their labels five times). Fewer rows than labels are the first rows.
 */
function sliceRows(rows: number, labels: Int32Array, severity: ReadDatasetOptions["severity"], path: string): Slice[] {
  const repeats = rows === 5 * labels.length && rows > 0;
  if (!repeats && rows > labels.length) {
    throw new LimberError(
      "data.invalid",
      `${path}: ${labels.length} images, or 5 severities of them, expected from ${LABELS}, got ${rows}; give every image a label`,
      { path },
    );
  }
  if (!repeats && severity === undefined) return [{ suffix: "", firstRow: 0, labels: labels.subarray(0, rows) }];
  if (rows % 5 !== 0) {
    throw new LimberError(
      "config.invalid",
      `${path}: a multiple of 5 images expected for severities, got ${rows}; drop the option severity`,
      { path },
    );
  }
  const each = rows / 5;
  return SEVERITIES.filter((level) => severity === undefined || severity === "each" || severity === level).map(
    (level) => {
      const firstRow = (level - 1) * each;
      return { suffix: `/${level}`, firstRow, labels: repeats ? labels : labels.subarray(firstRow, firstRow + each) };
    },
  );
}
