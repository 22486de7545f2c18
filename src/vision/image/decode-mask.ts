import { isLimberError, LimberError } from "../../base/index.js";
import type { Mask } from "../data/truth.js";
import { plainBytes, readBytes } from "../files.js";
import type { ImageLimits } from "./decode.js";
import { loadSharp } from "./sharp.js";

const SIGNATURE = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
const [GREY, PALETTE] = [0, 3];

/**
 * Reads a grey or palette PNG as the numbers that it stores, for which a palette only chooses colours.
 * Throws: `data.invalid` for any other file, or none.
 */
export async function readMask(path: string, limits: ImageLimits): Promise<Mask> {
  const bytes = await readBytes(path, limits.fileBytes).catch((cause: unknown) => {
    throw invalid(path, "a file that can be read", isLimberError(cause) ? cause.code : String(cause), cause);
  });
  return decodeMask(bytes, limits.pixels, path);
}

/** The same for bytes; `path` is for messages. */
export async function decodeMask(bytes: Uint8Array, maximumPixels: number, path = "mask"): Promise<Mask> {
  const { depth, png } = asGrey(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), path);
  try {
    const sharp = await loadSharp();
    const { data, info } = await sharp(png, { failOn: "error", limitInputPixels: maximumPixels })
      .toColourspace("b-w")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    // decoders spread the levels of fewer bits evenly over 0 to 255
    const step = 255 / (2 ** depth - 1);
    const levels = plainBytes(data);
    return { width: info.width, height: info.height, data: step === 1 ? levels : levels.map((level) => level / step) };
  } catch (cause) {
    throw invalid(path, "a whole PNG", cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/**
 * The same PNG with its palette and all that changes levels left out: a palette picture is a grey one of its indices.
 * Source: https://www.w3.org/TR/png-3, §5 and §11.2.
 */
function asGrey(bytes: Buffer, path: string): { readonly depth: number; readonly png: Buffer } {
  const isPng =
    bytes.length >= 33 && bytes.subarray(0, 8).equals(SIGNATURE) && bytes.toString("latin1", 12, 16) === "IHDR";
  if (!isPng) throw invalid(path, "a PNG", "another kind of file");
  const [depth, colourType] = [bytes[24]!, bytes[25]!];
  if (depth > 8 || (colourType !== GREY && colourType !== PALETTE)) {
    throw invalid(
      path,
      "classes as the numbers of a grey or palette PNG with up to 8 bits",
      describe(depth, colourType),
    );
  }
  const header = Buffer.from(bytes.subarray(8, 33));
  header[17] = GREY;
  header.writeUInt32BE(crcOf(header.subarray(4, 21)), 21);
  const parts: Buffer[] = [SIGNATURE, header];
  for (let at = 33; at + 12 <= bytes.length;) {
    const end = at + 12 + bytes.readUInt32BE(at);
    const kind = bytes.toString("latin1", at + 4, at + 8);
    if (kind === "IDAT" || kind === "IEND") parts.push(bytes.subarray(at, end));
    at = end;
  }
  return { depth, png: Buffer.concat(parts) };
}

const describe = (depth: number, colourType: number): string =>
  `${colourType & 2 ? "colours" : "grey"}${colourType & 4 ? " with alpha" : ""}, ${depth} bits`;

const invalid = (path: string, expected: string, got: string, cause?: unknown): LimberError =>
  new LimberError(
    "data.invalid",
    `${path}: ${expected} expected, got ${got}; correct the label file`,
    { path },
    { cause },
  );

/** CRC-32 as PNG has it. Source: https://www.w3.org/TR/png-3/#D-CRCAppendix. */
function crcOf(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
