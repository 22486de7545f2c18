import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { LimberError } from "../base/index.js";
import { fileError, writeFileAtomic } from "../run/node.js";
import { type LibraryOptions, PatchLibrary } from "./library.js";

const INDEX = "library.json";
const PATCH_FILE = /^patch-[0-9a-f]{16}\.safetensors$/;

/**
 * The past patches of a folder; one that is not there yet is empty. Entries that are broken are left out and counted.
 * Throws: `data.invalid`, `io.failed`.
 */
export async function openLibrary(
  folder: string,
  options?: LibraryOptions,
): Promise<{ readonly library: PatchLibrary; readonly skipped: number }> {
  const path = join(folder, INDEX);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return { library: new PatchLibrary(options), skipped: 0 };
    throw fileError(`patch library "${path}"`, cause);
  }
  const { library: stored, skipped } = PatchLibrary.fromJSON(parse(text, path), options);
  const library = new PatchLibrary(options);
  let strange = 0;
  for (const entry of stored.entries) {
    const { patch } = entry;
    if (patch instanceof Uint8Array) library.add(entry);
    else if (PATCH_FILE.test(patch.file)) library.add({ ...entry, patch: { file: join(folder, patch.file) } });
    else strange++; // the index of a folder names files of that folder alone
  }
  return { library, skipped: skipped + strange };
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = `patch library "${path}": JSON expected, got something else; delete it to begin anew`;
    throw new LimberError("data.invalid", message, { path }, { cause });
  }
}

/** Writes past patches to a folder, each as a file of its own: the index last, so that it never names what is not there. Throws: `io.full`, `io.failed`. */
export async function saveLibrary(folder: string, library: PatchLibrary): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    const saved = new PatchLibrary({ limit: Infinity, same: 0 });
    for (const entry of library.entries) {
      const { patch } = entry;
      const isBytes = patch instanceof Uint8Array;
      const digest = isBytes ? createHash("sha256").update(patch).digest("hex").slice(0, 16) : "";
      const file = isBytes ? `patch-${digest}.safetensors` : basename(patch.file);
      if (isBytes) await writeFileAtomic(join(folder, file), patch);
      saved.add({ ...entry, patch: { file } });
    }
    await writeFileAtomic(join(folder, INDEX), JSON.stringify(saved));
    const named = new Set(saved.entries.map(({ patch }) => ("file" in patch ? patch.file : "")));
    for (const file of await readdir(folder))
      if (PATCH_FILE.test(file) && !named.has(file)) await rm(join(folder, file), { force: true });
  } catch (cause) {
    throw fileError(`patch library "${folder}"`, cause);
  }
}
