import { setImmediate as nextTurn } from "node:timers/promises";
import {
  isLimberError,
  LimberError,
  sizeOf,
  throwIfAborted,
  type FloatTensor,
  type StopSignal,
} from "../../base/index.js";
import type { Image, PixelData } from "../image/types.js";
import { fitImage, fitTruth } from "../preprocess/fit.js";
import { channelsOf, type Preprocessing } from "../preprocess/preprocessing.js";
import { writePixels } from "../preprocess/write-pixels.js";
import type { Truth } from "./truth.js";
import type { Domain, Skipped } from "./types.js";

export interface BatchOptions {
  readonly batchSize: number;
  readonly preprocessing: Preprocessing;
  /** The samples to read, in order. Default: all of the domain. */
  readonly indices?: ArrayLike<number> | undefined;
  readonly dtype?: "float32" | "float64" | undefined;
  /** Reads boxes and masks too, where the domain has them; a sample whose label file is broken is skipped. Default false. */
  readonly truth?: boolean | undefined;
  /** Writes every batch into the same memory: a batch is then valid only until the next one is asked for. */
  readonly reuse?: boolean | undefined;
  readonly signal?: StopSignal | undefined;
}

/** Samples ready for a model. The caller owns the memory, and may transfer it, unless `reuse` was asked for. */
export interface Batch {
  /** Shapes: [n, C, H, W], or [n, H, W, C] as the preprocessing says. */
  readonly images: FloatTensor;
  readonly labels: Int32Array;
  /** Boxes and masks in the frame of `images`, where they were asked for and the domain has them. */
  readonly truths?: readonly Truth[] | undefined;
  /** Which samples these are. */
  readonly indices: Int32Array;
  /** Samples that would have come before the next batch but could not be read. */
  readonly skipped: readonly Skipped[];
}

/** How many pictures are decoded at the same time; libuv has four threads for it, and two more keep them fed. */
const DECODERS = 6;
/** Values written before other work of the event loop gets its turn, about 5 ms. */
const VALUES_PER_TURN = 2_000_000;

type Loaded =
  | { readonly index: number; readonly image: Image<PixelData>; readonly truth: Truth }
  | { readonly index: number; readonly reason: string }
  | { readonly index: number; readonly defect: unknown };

/**
 * Reads a domain as batches, decoding up to one batch ahead while the caller works on the current one.
 * Every batch is full but the last: where a sample cannot be read, or holds NaN or infinity, the following ones move up. A batch is
 * empty only when no sample at all could be read. Each sample is in exactly one batch, or in `skipped` of exactly one.
 *
 * Throws: `aborted`, and `config.invalid` for a batch size or an index that cannot be.
 */
export async function* batches(domain: Domain, options: BatchOptions): AsyncGenerator<Batch, void, undefined> {
  const { batchSize, preprocessing, dtype = "float32", reuse = false, signal } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new LimberError(
      "config.invalid",
      `batch size: a whole number above 0 expected, got ${batchSize}; correct it`,
    );
  }
  const { width, height, layout } = preprocessing;
  const channels = channelsOf(preprocessing);
  const imageDims = layout === "NCHW" ? [channels, height, width] : [height, width, channels];
  const imageSize = sizeOf(imageDims);
  const createBuffer = (): FloatTensor["data"] =>
    new (dtype === "float32" ? Float32Array : Float64Array)(batchSize * imageSize);
  const shared = reuse ? createBuffer() : undefined;

  const withTruth = options.truth === true && domain.truth !== undefined;
  let buffer = shared ?? createBuffer();
  let members: number[] = [];
  let truths: Truth[] = [];
  let skipped: Skipped[] = [];
  const finish = (): Batch => {
    const images: FloatTensor = {
      dtype,
      dims: [members.length, ...imageDims],
      data: buffer.subarray(0, members.length * imageSize),
    };
    const batch = {
      images,
      labels: Int32Array.from(members, (index) => domain.label(index)),
      ...(withTruth && { truths }),
      indices: Int32Array.from(members),
      skipped,
    };
    [buffer, members, truths, skipped] = [shared ?? createBuffer(), [], [], []];
    return batch;
  };

  let written = 0;
  for await (const loaded of loadAhead(domain, options)) {
    throwIfAborted(signal);
    if ("defect" in loaded) throw loaded.defect;
    if ("reason" in loaded) {
      const { index, reason } = loaded;
      skipped.push({ domain: domain.name, index, path: domain.pathOf(index), reason });
      continue;
    }
    // full batches wait for the next readable sample, so that what is skipped at the very end still has a batch to be told in
    if (members.length === batchSize) yield finish();
    writePixels(loaded.image, preprocessing, buffer, members.length * imageSize);
    members.push(loaded.index);
    truths.push(loaded.truth);
    written += imageSize;
    if (written >= VALUES_PER_TURN) {
      written = 0;
      await nextTurn();
    }
  }
  throwIfAborted(signal);
  if (members.length > 0 || skipped.length > 0) yield finish();
}

/** Yields samples in order, with at most `DECODERS` being decoded and at most one batch waiting. */
async function* loadAhead(domain: Domain, options: BatchOptions): AsyncGenerator<Loaded, void, undefined> {
  const { indices, batchSize, signal } = options;
  const total = indices?.length ?? domain.samples;
  const waiting: Promise<Loaded>[] = [];
  let next = 0;
  let decoding = 0;
  let stopped = false;
  const fill = (): void => {
    while (!stopped && !signal?.aborted && next < total && decoding < DECODERS && waiting.length < batchSize) {
      const position = next++;
      decoding++;
      const loaded = load(domain, indices?.[position] ?? position, options);
      waiting.push(loaded);
      void loaded.then(() => {
        decoding--;
        fill();
      });
    }
  };
  try {
    for (fill(); waiting.length > 0; fill()) yield await waiting.shift()!;
  } finally {
    stopped = true;
  }
}

/** Reads and sizes one sample; never rejects, since nobody may be waiting for it any more. */
async function load(domain: Domain, index: number, options: BatchOptions): Promise<Loaded> {
  const { preprocessing } = options;
  try {
    if (!Number.isInteger(index) || index < 0 || index >= domain.samples) {
      throw new LimberError(
        "config.invalid",
        `${domain.name}: indices from 0 to ${domain.samples - 1} expected, got ${index}; correct them`,
      );
    }
    const reading = await domain.read(index);
    if ("unreadable" in reading) return { index, reason: reading.unreadable };
    const fitted = await fitImage(reading.image, preprocessing);
    if ("unreadable" in fitted) return { index, reason: fitted.unreadable };
    const truth = (options.truth && (await domain.truth?.(index))) || {};
    return { index, image: fitted.image, truth: fitTruth(truth, reading.image, preprocessing) };
  } catch (defect) {
    return isLimberError(defect, "data.invalid") ? { index, reason: defect.message } : { index, defect };
  }
}
