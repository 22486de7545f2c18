import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { isLimberError, LimberError, sizeOf } from "../../../base/index.js";
import { blockDomain, blockOf, type BlockSource } from "../block.js";
import { exists, plainBytes, readBytes, stemOf, type Place } from "../../files.js";
import { classesOf, findClasses } from "../classes.js";
import type { DatasetReader } from "./reader.js";

/** `train-images-idx3-ubyte`, `t10k-images.idx3-ubyte.gz`: what stands before "images" names the domain. */
const IMAGES_FILE = /^(.*?)([-_.]?)images([-.])idx[34]-ubyte(?:\.gz)?$/;
const UBYTE = 8;

/** IDX files (MNIST and its kin): images and labels in a pair of files, gzipped or not. Source: http://yann.lecun.com/exdb/mnist. */
export const idxReader: DatasetReader = {
  format: "idx",
  reads: "IDX files such as train-images-idx3-ubyte(.gz) beside their labels (MNIST)",
  detects: (place) => imagesIn(place).length > 0,

  async read(place, context) {
    const folder = place.isFolder ? place.path : dirname(place.path);
    const sources: BlockSource[] = [];
    for (const name of imagesIn(place)) sources.push(await readPair(folder, name, context.limits.fileBytes));
    const classes = classesOf(
      context.classes ?? (await findClasses(folder)),
      sources.map(({ labels }) => labels),
      place.path,
    );
    return { name: stemOf(folder), classes, domains: sources.map(blockDomain) };
  },
};

const imagesIn = ({ path, isFolder, files }: Place): string[] =>
  (isFolder ? files : [basename(path)]).filter((name) => IMAGES_FILE.test(name));

async function readPair(folder: string, name: string, maximumBytes: number): Promise<BlockSource> {
  const [, prefix = "", separator = "", dot = ""] = IMAGES_FILE.exec(name) ?? [];
  const labelsPath = join(folder, `${prefix}${separator}labels${dot}idx1-ubyte`);
  const path = join(folder, name);
  const images = await readIdx(path, maximumBytes);
  const labels = await readIdx((await exists(labelsPath)) ? labelsPath : `${labelsPath}.gz`, maximumBytes);
  const block = blockOf({ dtype: "uint8", ...images }, path);
  if (labels.dims.length !== 1 || labels.dims[0] !== block.count) {
    throw new LimberError(
      "data.invalid",
      `${labelsPath}: ${block.count} labels expected from ${name}, got [${labels.dims.join(",")}]; put the pair of files side by side`,
      { path: labelsPath },
    );
  }
  return { name: prefix || stemOf(folder), labels: labels.data, path, block };
}

/** Reads one IDX file of bytes. Throws: `data.invalid`, `limit.exceeded`. */
async function readIdx(path: string, maximumBytes: number): Promise<{ dims: number[]; data: Uint8Array }> {
  const stored = await readBytes(path, maximumBytes);
  const bytes = path.endsWith(".gz") ? await unpack(stored, path, maximumBytes) : stored;
  const fail = (expected: string): LimberError =>
    new LimberError("data.invalid", `${path}: ${expected}; download it again`, { path });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = bytes.length < 4 ? -1 : view.getUint32(0);
  const rank = magic & 0xff;
  if (magic >> 8 !== UBYTE || rank < 1 || rank > 4) {
    throw fail(
      `an IDX file of bytes (first word 0x00000801 to 0x00000804) expected, got 0x${(magic >>> 0).toString(16).padStart(8, "0")}`,
    );
  }
  const dataOffset = 4 + 4 * rank;
  if (bytes.length < dataOffset) throw fail(`${rank} dimensions expected, got ${bytes.length} bytes in all`);
  const dims = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  if (bytes.length !== dataOffset + sizeOf(dims)) {
    throw fail(`${dataOffset + sizeOf(dims)} bytes for [${dims.join(",")}] expected, got ${bytes.length}`);
  }
  return { dims, data: bytes.subarray(dataOffset) };
}

async function unpack(bytes: Uint8Array, path: string, maximumBytes: number): Promise<Uint8Array> {
  try {
    return plainBytes(await promisify(gunzip)(bytes, { maxOutputLength: maximumBytes }));
  } catch (error) {
    if (isLimberError(error)) throw error;
    const tooBig = error instanceof RangeError;
    const expected = tooBig
      ? `at most ${maximumBytes} bytes expected when unpacked, got more`
      : "gzip data expected, got damaged bytes";
    throw new LimberError(
      tooBig ? "limit.exceeded" : "data.invalid",
      `${path}: ${expected}; check the file`,
      { path },
      { cause: error },
    );
  }
}
