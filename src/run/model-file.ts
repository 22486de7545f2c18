import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from "node:fs";
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { LimberError } from "../base/index.js";
import {
  DEFAULT_LIMITS,
  type ExternalData,
  type Model,
  type ReadLimits,
  readModel,
  writeModel,
} from "../graph/index.js";

export interface ReadModelFileOptions {
  readonly limits?: Partial<ReadLimits>;
  /** Weights in other files of the model's folder; refused unless true. */
  readonly allowExternalData?: boolean;
}

/** Reads an .onnx file. Throws: what `readModel` throws; `io.not-found`, `io.failed`, `limit.exceeded`. */
export async function readModelFile(path: string, options: ReadModelFileOptions = {}): Promise<Model> {
  const bytes = await readBytes(path, options.limits?.fileBytes ?? DEFAULT_LIMITS.fileBytes);
  return readModel(bytes, {
    ...(options.limits && { limits: options.limits }),
    ...(options.allowExternalData && { externalData: externalDataIn(dirname(resolve(path))) }),
  });
}

async function readBytes(path: string, limit: number): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > limit) {
      const message = `model file "${path}": at most ${limit} bytes, got ${size}; raise the limit if you trust the file`;
      throw new LimberError("limit.exceeded", message, { path, size });
    }
    return await readFile(path);
  } catch (cause) {
    throw fileError(`model file "${path}"`, cause);
  }
}

/**
 * Reads external data inside of one folder only: the canonical path must stay there, and links are not followed.
 * Source: ONNX docs/security.md (canonical containment, no symbolic or hard links).
 */
export function externalDataIn(folder: string): ExternalData {
  return (location, offset, length) => {
    const path = resolve(folder, location);
    const refuse = (got: string): LimberError =>
      new LimberError(
        "model.external-data",
        `external data "${location}": a plain file in the model's folder, got ${got}`,
        { location },
      );
    if (!path.startsWith(resolve(folder) + sep)) throw refuse("a path outside of it");
    let file: number;
    try {
      const inside = realpathSync(folder) + sep;
      if (!(realpathSync(dirname(path)) + sep).startsWith(inside)) throw refuse("a folder outside of it");
      // Not blocking: opening a named pipe would wait for a writer for ever.
      file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (cause) {
      throw cause instanceof LimberError ? cause : refuse((cause as NodeJS.ErrnoException).code ?? "an error");
    }
    try {
      const status = fstatSync(file);
      if (!status.isFile()) throw refuse("something else");
      if (status.nlink > 1) throw refuse("a hard link");
      if (offset + length > status.size) throw refuse(`${status.size} bytes where ${offset + length} are needed`);
      const bytes = new Uint8Array(length);
      readSync(file, bytes, 0, bytes.length, offset);
      return bytes;
    } finally {
      closeSync(file);
    }
  };
}

/** Writes an .onnx file whole or not at all. Throws: `io.full`, `io.failed`. */
export async function writeModelFile(path: string, model: Model): Promise<void> {
  await writeFileAtomic(path, writeModel(model));
}

/** Writes beside the target, flushes, then renames: after a crash or a full disk the old file is intact. Throws: `io.full`, `io.failed`. */
export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined); // the first failure is the one to report
    throw fileError(`file "${path}"`, cause);
  }
}

/** Makes a renaming last through a power cut, where the system lets folders be flushed; the file is whole either way. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}

/** Turns a failure of the file system into a typed error. */
export function fileError(subject: string, cause: unknown): LimberError {
  if (cause instanceof LimberError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
  if (code === "ENOENT" || code === "ENOTDIR")
    return new LimberError("io.not-found", `${subject}: a file or folder, got none; check the path`, {}, { cause });
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new LimberError(
      "io.full",
      `${subject}: space to write, got a full disk; old files are intact, free some space and repeat`,
      {},
      { cause },
    );
  }
  return new LimberError("io.failed", `${subject}: readable and writable, got ${code}`, { code }, { cause });
}
