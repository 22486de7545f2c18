import { dirname, join, resolve } from "node:path";
import { LimberError } from "../../base/index.js";
import { exists, readBytes } from "../files.js";

/** More classes than any set has: beyond it, what was read as labels is something else. */
const LARGEST_CLASS_COUNT = 65_536;

/** Reads `classes.txt` (or CIFAR's `batches.meta.txt`), one name a line, in the folder of the data or the one above. */
export async function findClasses(folder: string): Promise<readonly string[] | undefined> {
  const places = [folder, dirname(resolve(folder))].flatMap((at) =>
    ["classes.txt", "batches.meta.txt"].map((name) => join(at, name)),
  );
  for (const path of places) {
    if (await exists(path)) return parseClasses(Buffer.from(await readBytes(path, 2 ** 24)).toString("utf8"), path);
  }
  return undefined;
}

/** One class name a line. Throws: `data.invalid` when a name comes twice or there is none. */
export function parseClasses(text: string, path: string): readonly string[] {
  const names = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const seen = new Set<string>();
  const repeated = names.find((name) => seen.size === seen.add(name).size);
  if (names.length === 0 || repeated !== undefined) {
    const got = repeated === undefined ? "an empty file" : `"${repeated}" twice`;
    throw new LimberError("data.invalid", `${path}: one class name a line expected, got ${got}; list each class once`, {
      path,
    });
  }
  return names;
}

/**
 * The names of the classes: those given, else `"0"`, `"1"`, … up to the largest label.
 * Throws: `data.invalid` for a label that is not a whole number or beyond the classes, with its row.
 */
export function classesOf(
  given: readonly string[] | undefined,
  labels: Iterable<ArrayLike<number>>,
  path: string,
): readonly string[] {
  const limit = given?.length ?? LARGEST_CLASS_COUNT;
  let count = 0;
  for (const column of labels) {
    for (let row = 0; row < column.length; row++) {
      const label = column[row]!;
      if (!Number.isInteger(label) || label < 0 || label >= limit) {
        const next = given === undefined ? "check the labels" : "check the labels or the list of classes";
        throw new LimberError(
          "data.invalid",
          `${path}: labels from 0 to ${limit - 1} expected, got ${label} at row ${row}; ${next}`,
          { path, row },
        );
      }
      count = Math.max(count, label + 1);
    }
  }
  return given ?? Array.from({ length: count }, (_, i) => String(i));
}
