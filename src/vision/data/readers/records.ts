import { basename, dirname, join } from "node:path";
import { LimberError } from "../../../base/index.js";
import { blockDomain, interleave, joinDomains, type BlockSource, type ImageBlock, type PixelShape } from "../block.js";
import { readBytes, stemOf, type Place } from "../../files.js";
import { classesOf, findClasses } from "../classes.js";
import type { DatasetReader } from "./reader.js";

const CIFAR = "3x32x32";
/** Sizes to propose when a file is not CIFAR's. */
const COMMON = [CIFAR, "1x28x28", "3x28x28", "3x64x64", "3x96x96", "3x160x160", "3x224x224"];

/**
 * Files of records, each one label byte and then the planes of an image: CIFAR-10 binary, and any other size that `record` names.
 * Each file is a domain; CIFAR's own `data_batch_1..5.bin` and `test_batch.bin` are the domains train and test.
 * Source: https://www.cs.toronto.edu/~kriz/cifar.html.
 */
export const recordsReader: DatasetReader = {
  format: "records",
  reads: "records of one label byte and image planes, .bin (CIFAR-10 binary)",
  detects: (place) => recordFiles(place).length > 0,

  async read(place, context) {
    const { path, isFolder } = place;
    const folder = isFolder ? path : dirname(path);
    const candidates = (context.record ?? [CIFAR]).map((size) => ({ size, shape: parseRecordSize(size) }));
    const sources: BlockSource[] = [];
    for (const name of recordFiles(place)) {
      const at = join(folder, name);
      const bytes = await readBytes(at, context.limits.fileBytes);
      sources.push({
        name: domainOf(name),
        path: at,
        ...splitRecords(bytes, chooseShape(bytes.length, candidates, at)),
      });
    }
    const classes = classesOf(
      context.classes ?? (await findClasses(folder)),
      sources.map(({ labels }) => labels),
      path,
    );
    const names = [...new Set(sources.map(({ name }) => name))];
    const domains = names.map((name) =>
      joinDomains(name, sources.filter((source) => source.name === name).map(blockDomain)),
    );
    return { name: stemOf(path), classes, domains };
  },
};

const recordFiles = ({ path, isFolder, files }: Place): string[] =>
  (isFolder ? files : [basename(path)]).filter((name) => name.endsWith(".bin"));

const domainOf = (file: string): string =>
  /^data_batch_\d+\.bin$/.test(file) ? "train" : file === "test_batch.bin" ? "test" : stemOf(file);

/** Reads `3x32x32` as planes x height x width. Throws: `config.invalid`. */
export function parseRecordSize(text: string): PixelShape {
  const [channels, height, width] = /^([13])x(\d{1,5})x(\d{1,5})$/.exec(text)?.slice(1).map(Number) ?? [];
  if (!channels || !height || !width) {
    throw new LimberError(
      "config.invalid",
      `record: planes x height x width with 1 or 3 planes expected, such as ${CIFAR}, got "${text}"; correct the option`,
    );
  }
  return { channels: channels === 1 ? 1 : 3, height, width, planar: channels !== 1 };
}

const recordBytes = ({ channels, height, width }: PixelShape): number => 1 + channels * height * width;

interface Candidate {
  readonly size: string;
  readonly shape: PixelShape;
}

/** The one candidate whose records fill the file exactly. Throws: `data.invalid`, `config.invalid`. */
function chooseShape(sizeBytes: number, candidates: readonly Candidate[], path: string): PixelShape {
  const fits = ({ shape }: Candidate): boolean => sizeBytes > 0 && sizeBytes % recordBytes(shape) === 0;
  const fitting = candidates.filter(fits);
  if (fitting.length === 1) return fitting[0]!.shape;
  if (fitting.length > 1) {
    const sizes = fitting.map(({ size }) => size).join(" and ");
    throw new LimberError(
      "config.invalid",
      `${path}: one size of records expected, got ${sizes}, which both fill ${sizeBytes} bytes; give only one as record`,
      { path },
    );
  }
  const expected = candidates.map(({ size, shape }) => `${recordBytes(shape)} (${size})`).join(" or ");
  const others = COMMON.map((size) => ({ size, shape: parseRecordSize(size) }))
    .filter(fits)
    .map(({ size, shape }) => `${sizeBytes / recordBytes(shape)} of ${size}`);
  const next =
    others.length > 0
      ? `it would hold ${others.join(" or ")}: give that size as record`
      : "give the size of one image as record, or the file is truncated";
  throw new LimberError(
    "data.invalid",
    `${path}: records of ${expected} bytes expected, got ${sizeBytes} bytes in all; ${next}`,
    { path, sizeBytes },
  );
}

/** Parts labels from pixels, planes turned into interleaved channels. */
function splitRecords(bytes: Uint8Array, shape: PixelShape): { labels: Uint8Array; block: ImageBlock } {
  const { channels, height, width } = shape;
  const count = bytes.length / recordBytes(shape);
  const labels = Uint8Array.from({ length: count }, (_, i) => bytes[i * recordBytes(shape)]!);
  const data = interleave(bytes, new Uint8Array(bytes.length - count), shape, count, 1);
  return { labels, block: { count, channels, height, width, data } };
}
