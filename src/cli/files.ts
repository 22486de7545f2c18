import { mkdir } from "node:fs/promises";
import { fileError } from "../run/node.js";

/** Makes a folder and those above it unless they are there. Throws: `io.full`, `io.failed`. */
export async function createFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw fileError(`folder "${path}"`, cause);
  }
}
