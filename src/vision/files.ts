import { constants } from "node:fs";
import { access, readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { LimberError } from "../base/index.js";
import { fileError } from "../run/node.js";

/** The same memory as a plain `Uint8Array`: on a `Buffer`, `slice` does not copy, which callers rely on. */
export const plainBytes = ({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Reads a whole file of at most `maximumBytes`. Throws: `io.not-found`, `io.failed`, `limit.exceeded`. */
export async function readBytes(path: string, maximumBytes: number): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > maximumBytes) throw tooLarge(path, size, maximumBytes);
    return plainBytes(await readFile(path));
  } catch (error) {
    throw fileError(path, error);
  }
}

export const tooLarge = (path: string, sizeBytes: number, maximumBytes: number): LimberError =>
  new LimberError(
    "limit.exceeded",
    `${path}: at most ${maximumBytes} bytes expected, got ${sizeBytes}; split it or raise limits.fileBytes`,
    { path, sizeBytes },
  );

export const exists = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );

/** What lies at a path: the names in a folder, or none for a file. */
export interface Place {
  readonly path: string;
  readonly isFolder: boolean;
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

/** Looks at a path once, names sorted by code point, hidden ones left out. Throws: `io.not-found`, `io.failed`. */
export async function readPlace(path: string): Promise<Place> {
  try {
    const isFolder = (await stat(path)).isDirectory();
    if (!isFolder) return { path, isFolder, files: [], folders: [] };
    const entries = (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.name.startsWith("."));
    const files: string[] = [];
    const folders: string[] = [];
    for (const entry of entries) {
      const leadsToFolder = entry.isSymbolicLink()
        ? (await stat(join(path, entry.name)).catch(() => undefined))?.isDirectory()
        : entry.isDirectory();
      (leadsToFolder ? folders : files).push(entry.name);
    }
    return { path, isFolder, files: files.sort(), folders: folders.sort() };
  } catch (error) {
    throw fileError(path, error);
  }
}

/** The file name without its last ending, to name a domain after its file. */
export const stemOf = (path: string): string => basename(path).replace(/(?<=.)\.[^.]*$/, "");
