import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LimberError } from "../../base/index.js";
import type { Trace } from "../trace.js";
import { readTrace } from "./trace-file.js";

/** Traces of the embedded world that come with Limber; the package root is three levels up from src/schedule/record and from dist/schedule/record. */
export const TRACES_PATH = fileURLToPath(new URL("../../../assets/traces", import.meta.url));

/** All traces of a folder, by name. Throws: `io.not-found` where there are none, `data.invalid`. */
export async function readTraces(folder = TRACES_PATH): Promise<readonly Trace[]> {
  const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith(".json")).sort();
  if (files.length > 0) return Promise.all(files.map((file) => readTrace(join(folder, file))));
  throw new LimberError("io.not-found", `traces: files *.json in "${folder}", got none; record some`, { folder });
}
