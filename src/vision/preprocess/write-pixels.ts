import { LimberError } from "../../base/index.js";
import type { Image, PixelData } from "../image/types.js";
import { channelsOf, type Preprocessing } from "./preprocessing.js";

/** Turns the levels of one channel into what the model wants; computed in double, rounded once when stored. */
type Normalize = (level: number, channel: number) => number;

/** For bytes, all 256 results per channel, made once per preprocessing. */
const tables = new WeakMap<Preprocessing, Float64Array>();

const normalizerOf =
  ({ scale, mean, std }: Preprocessing): Normalize =>
  (level, channel) =>
    (level * scale - (mean[channel] ?? mean[0]!)) / (std[channel] ?? std[0]!);

function tableOf(preprocessing: Preprocessing): Float64Array {
  let table = tables.get(preprocessing);
  if (table === undefined) {
    const normalize = normalizerOf(preprocessing);
    table = Float64Array.from({ length: 256 * channelsOf(preprocessing) }, (_, i) => normalize(i & 255, i >> 8));
    tables.set(preprocessing, table);
  }
  return table;
}

/** ITU-R 601 luma; for bytes in the integers that Pillow uses, so that grey stays grey exactly. */
const luma = (r: number, g: number, b: number): number => 0.299 * r + 0.587 * g + 0.114 * b;
const lumaByte = (r: number, g: number, b: number): number => (r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16;

/**
 * Writes an image of the right size as the model's input, from `offset` on. Grey and colour are converted as needed.
 * Shapes: out [C, H, W] or [H, W, C] from `offset`.
 * Throws: `shape.mismatch` for an image of another size.
 */
export function writePixels(
  image: Image<PixelData>,
  preprocessing: Preprocessing,
  out: Float32Array | Float64Array,
  offset: number,
): void {
  const { data, channels: from } = image;
  if (image.width !== preprocessing.width || image.height !== preprocessing.height) {
    throw new LimberError(
      "shape.mismatch",
      `pixels: an image of ${preprocessing.width}x${preprocessing.height} expected, got ${image.width}x${image.height}; resize it with fitImage`,
    );
  }
  const area = image.width * image.height;
  const to = channelsOf(preprocessing);
  const [pixelStep, channelStep] = preprocessing.layout === "NCHW" ? [1, area] : [to, 1];
  const bytes = data instanceof Uint8Array;
  const table = tableOf(preprocessing);
  const normalize = normalizerOf(preprocessing);
  for (let c = 0; c < to; c++) {
    const start = offset + c * channelStep;
    const source = from === 1 ? 0 : preprocessing.color === "BGR" ? 2 - c : c;
    if (from === 3 && to === 1) {
      const toLuma = bytes ? lumaByte : luma;
      for (let p = 0; p < area; p++) {
        out[start + p * pixelStep] = normalize(toLuma(data[3 * p]!, data[3 * p + 1]!, data[3 * p + 2]!), c);
      }
    } else if (bytes) {
      for (let p = 0; p < area; p++) out[start + p * pixelStep] = table[256 * c + data[p * from + source]!]!;
    } else {
      for (let p = 0; p < area; p++) out[start + p * pixelStep] = normalize(data[p * from + source]!, c);
    }
  }
}
