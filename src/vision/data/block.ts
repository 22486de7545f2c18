import { formatShape, LimberError, type Tensor } from "../../base/index.js";
import type { Image, PixelData } from "../image/types.js";
import type { Domain } from "./types.js";

/** Many images of one size in one array, channels interleaved. Shapes: data [count, height, width, channels]. */
export interface ImageBlock {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  readonly data: PixelData;
}

/** The size of one image and where its channels are. */
export interface PixelShape {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  /** Channels come as whole planes (CHW) rather than interleaved (HWC). */
  readonly planar: boolean;
}

const isChannels = (size: number | undefined): size is 1 | 3 => size === 1 || size === 3;

/**
 * Reads `[H,W]`, `[H,W,C]` or `[C,H,W]` (C = 1 or 3) as the size of one image; interleaved wins when both would do.
 * Throws: `data.invalid`.
 */
export function pixelShapeOf(dims: readonly number[], path: string): PixelShape {
  const [a, b, c] = dims;
  const positive = dims.every((size) => size > 0);
  if (positive && dims.length === 2) return { height: a!, width: b!, channels: 1, planar: false };
  if (positive && dims.length === 3 && isChannels(c)) return { height: a!, width: b!, channels: c, planar: false };
  if (positive && dims.length === 3 && isChannels(a)) return { height: b!, width: c!, channels: a, planar: a !== 1 };
  const got = `got ${formatShape(dims)}`;
  throw new LimberError(
    "data.invalid",
    `${path}: images of shape [H,W], [H,W,C] or [C,H,W] with 1 or 3 channels expected, ${got}; reshape the array`,
    { path },
  );
}

/** Interleaves the planes of `count` images, each behind `gap` elements of something else. */
export function interleave(planes: PixelData, to: PixelData, shape: PixelShape, count: number, gap = 0): PixelData {
  const area = shape.height * shape.width;
  for (let i = 0, write = 0; i < count; i++) {
    const start = i * (gap + area * shape.channels) + gap;
    for (let p = 0; p < area; p++) for (let c = 0; c < shape.channels; c++) to[write++] = planes[start + c * area + p]!;
  }
  return to;
}

/**
 * Reads a tensor `[N, ...]` as images: bytes as they are and without a copy; floats as grey levels, where an array that
 * lies within 0 and 1 is taken for levels divided by 255 and is scaled back in place.
 * Throws: `data.invalid`.
 */
export function blockOf(tensor: Tensor, path: string): ImageBlock {
  const [count = 0, ...imageDims] = tensor.dims;
  const shape = pixelShapeOf(imageDims, path);
  const { height, width, channels } = shape;
  const pixels = tensor.data;
  if (
    tensor.dtype === "bool" ||
    !(pixels instanceof Uint8Array || pixels instanceof Float32Array || pixels instanceof Float64Array)
  ) {
    throw new LimberError(
      "data.invalid",
      `${path}: images of type uint8, float32 or float64 expected, got ${tensor.dtype}; convert with astype("uint8")`,
      { path },
    );
  }
  if (!(pixels instanceof Uint8Array) && liesInUnitRange(pixels)) {
    for (let i = 0; i < pixels.length; i++) pixels[i]! *= 255;
  }
  const data = shape.planar ? interleave(pixels, pixels.slice(), shape, count) : pixels;
  return { count, height, width, channels, data };
}

/** Whether all finite values lie within 0 and 1, with at least one above 0. */
function liesInUnitRange(values: Float32Array | Float64Array): boolean {
  let maximum = 0;
  for (const value of values) {
    if (value < 0 || (value > 1 && value !== Infinity)) return false;
    if (value > maximum && value !== Infinity) maximum = value;
  }
  return maximum > 0;
}

/** One image of a block, without a copy: it shares the block's memory. */
export function imageAt(block: ImageBlock, index: number): Image<PixelData> {
  const { height, width, channels } = block;
  const size = height * width * channels;
  return { width, height, channels, data: block.data.subarray(index * size, (index + 1) * size) };
}

/** What an in-memory domain is made of. `block` may load on first use. */
export interface BlockSource {
  readonly name: string;
  readonly labels: ArrayLike<number>;
  readonly path: string;
  readonly block: ImageBlock | (() => Promise<ImageBlock>);
  /** The row of the block that sample 0 is. */
  readonly firstRow?: number;
  tags?(index: number): readonly string[];
}

/** A domain over rows of a block; images are views into it. */
export function blockDomain({ name, labels, path, block, firstRow = 0, tags }: BlockSource): Domain {
  const load = typeof block === "function" ? block : async () => block;
  return {
    name,
    samples: labels.length,
    label: (index) => labels[index]!,
    read: async (index) => {
      try {
        return { image: imageAt(await load(), firstRow + index) };
      } catch (error) {
        if (error instanceof LimberError) return { unreadable: error.message };
        throw error;
      }
    },
    pathOf: (index) => `${path}[${firstRow + index}]`,
    ...(tags && { tags }),
  };
}

/** Several domains as one, in order. */
export function joinDomains(name: string, parts: readonly Domain[]): Domain {
  const find = (index: number): [Domain, number] => {
    let rest = index;
    for (const part of parts) {
      if (rest < part.samples) return [part, rest];
      rest -= part.samples;
    }
    throw new LimberError("internal", `internal: sample ${index} of domain ${name} does not exist`);
  };
  const on =
    <T>(call: (part: Domain, index: number) => T) =>
    (index: number): T =>
      call(...find(index));
  return {
    name,
    samples: parts.reduce((sum, { samples }) => sum + samples, 0),
    label: on((part, index) => part.label(index)),
    read: on((part, index) => part.read(index)),
    pathOf: on((part, index) => part.pathOf(index)),
    tags: on((part, index) => part.tags?.(index) ?? []),
    ...(parts.some(({ truth }) => truth) && { truth: on(async (part, index) => (await part.truth?.(index)) ?? {}) }),
  };
}

/** Some samples of a domain as a domain. */
export function selectSamples(domain: Domain, indices: ArrayLike<number>): Domain {
  return {
    name: domain.name,
    samples: indices.length,
    label: (index) => domain.label(indices[index]!),
    read: (index) => domain.read(indices[index]!),
    pathOf: (index) => domain.pathOf(indices[index]!),
    tags: (index) => domain.tags?.(indices[index]!) ?? [],
    ...(domain.truth && { truth: (index) => domain.truth!(indices[index]!) }),
  };
}
