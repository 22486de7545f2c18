import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { LimberError } from "../../base/index.js";

export type Split = "train" | "validation" | "test";
export const SPLITS: readonly Split[] = ["train", "validation", "test"];

/** Side of a stored digit in pixels. */
export const DIGIT_SIDE = 28;
export const DIGIT_CLASSES = 10;

/** Grey handwriting, class after class: digit `i` is `pixels[i·784 .. (i+1)·784)`, 255 = ink. */
export interface Digits {
  readonly labels: Uint8Array;
  readonly pixels: Uint8Array;
}

// The package root is three levels up from src/vision/world and from dist/vision/world alike.
const DIGITS_URL = new URL("../../../assets/digits.bin.gz", import.meta.url);
const MAGIC = "LIMBERD1";
const HEADER_BYTES = 52;

/**
 * Reads the packed digits: gzip of "LIMBERD1", count, rows, columns (uint32 LE), SHA-256 of the rest, labels, pixels.
 * Throws: `data.invalid`.
 */
export function readDigits(bytes: Uint8Array, name = "digits"): Digits {
  const refuse = (expected: string, cause?: unknown): LimberError =>
    new LimberError("data.invalid", `${name}: ${expected}; run "node scripts/pack-digits.mjs" again`, {}, { cause });
  let file: Buffer;
  try {
    file = gunzipSync(bytes, { maxOutputLength: 2 ** 26 });
  } catch (cause) {
    throw refuse("a gzip file of digits, got bytes that do not unpack", cause);
  }
  if (file.length < HEADER_BYTES || file.toString("latin1", 0, 8) !== MAGIC) {
    throw refuse(`a file that starts with ${MAGIC}, got another`);
  }
  const count = file.readUInt32LE(8);
  const payload = file.subarray(HEADER_BYTES);
  if (file.readUInt32LE(12) !== DIGIT_SIDE || file.readUInt32LE(16) !== DIGIT_SIDE)
    throw refuse("28x28 digits, got others");
  if (payload.length !== count * (1 + DIGIT_SIDE ** 2)) throw refuse(`${count} digits, got ${payload.length} bytes`);
  if (!createHash("sha256").update(payload).digest().equals(file.subarray(20, HEADER_BYTES))) {
    throw refuse("digits with the checksum of their header, got others");
  }
  return { labels: payload.subarray(0, count), pixels: payload.subarray(count) };
}

/** Reads a file of packed digits. Throws: `io.not-found`, `data.invalid`. */
export function openDigits(path: string): Digits {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const message = `embedded world: the digits at ${path}, got no readable file; run "node scripts/pack-digits.mjs"`;
    throw new LimberError("io.not-found", message, { path }, { cause });
  }
  return readDigits(bytes, path);
}

let loaded: Digits | undefined;

/** The embedded handwriting, read once. Throws: as `openDigits`. */
export function loadDigits(): Digits {
  loaded ??= openDigits(fileURLToPath(DIGITS_URL));
  return loaded;
}

/** The split that digit `i` belongs to for ever: of every ten in file order, seven train, one validates, two test. */
export function splitOf(digit: number): Split {
  const place = digit % 10;
  return place < 7 ? "train" : place === 7 ? "validation" : "test";
}

/** The digits of one split by class: `[class][n]` is a digit's position in the file. */
export function digitsByClass(digits: Digits, split: Split): readonly (readonly number[])[] {
  const byClass = Array.from({ length: DIGIT_CLASSES }, (): number[] => []);
  digits.labels.forEach((label, digit) => {
    if (splitOf(digit) === split) byClass[label]!.push(digit);
  });
  return byClass;
}
