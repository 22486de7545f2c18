import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism, cpus, homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../model-file.js";

/** What measured times depend on besides the decision: results of one machine key serve no other. */
export interface MachineKey {
  readonly processor: string;
  readonly processors: number;
  readonly threads: number;
  readonly provider: string;
  readonly runtime: string;
  readonly limber: string;
}

/** One measured decision. Units: milliseconds, the fastest run. */
export interface Measurement {
  readonly times: Readonly<Record<string, number>>;
  readonly rounds: number;
}

export type Measurements = ReadonlyMap<string, Measurement>;

const FORMAT = "limber formulations 1";

const stored = z.object({
  format: z.literal(FORMAT),
  machine: z.object({
    processor: z.string(),
    processors: z.int(),
    threads: z.int(),
    provider: z.string(),
    runtime: z.string(),
    limber: z.string(),
  }),
  decisions: z.record(
    z.string(),
    z.object({ times: z.record(z.string(), z.number().positive()), rounds: z.int().positive() }),
  ),
});

/** The user's cache folder by the custom of the platform. */
export function findCacheFolder(
  env: Readonly<Record<string, string | undefined>> = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  const home = homedir();
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, "limber");
  if (platform === "darwin") return join(home, "Library", "Caches", "limber");
  if (platform === "win32") return join(env.LOCALAPPDATA ?? join(home, "AppData", "Local"), "limber", "Cache");
  return join(home, ".cache", "limber");
}

/** This machine, for sessions of a provider with so many threads. */
export function findMachineKey(provider: string, threads: number): MachineKey {
  const require = createRequire(import.meta.url);
  const versionOf = (manifest: string): string => (require(manifest) as { version: string }).version;
  return {
    processor: cpus()[0]?.model ?? process.arch,
    processors: availableParallelism(),
    threads,
    provider,
    runtime: versionOf("onnxruntime-node/package.json"),
    limber: versionOf("../../../package.json"), // as deep in dist as in src
  };
}

/** Where the measurements of a machine lie. */
export function cacheFileOf(folder: string, machine: MachineKey): string {
  const digest = createHash("sha256").update(JSON.stringify(machine)).digest("hex").slice(0, 16);
  return join(folder, `formulations-${digest}.json`);
}

/** What was measured before on this machine; nothing where the file is absent, broken or of another machine. */
export async function readMeasurements(folder: string, machine: MachineKey): Promise<Measurements> {
  try {
    const file = stored.parse(JSON.parse(await readFile(cacheFileOf(folder, machine), "utf8")));
    if (JSON.stringify(file.machine) !== JSON.stringify(machine)) return new Map();
    return new Map(Object.entries(file.decisions));
  } catch {
    return new Map();
  }
}

/** One after another within a process, so that none overwrites what another adds. */
let adding: Promise<unknown> = Promise.resolve();

/**
 * Adds measurements to the file, whole or not at all; false where the folder cannot be written, which costs only time.
 * Two processes that write at once leave a valid file that may lack what one of them added; it is measured again when needed.
 */
export function addMeasurements(folder: string, machine: MachineKey, added: Measurements): Promise<boolean> {
  const done = adding.then(() => mergeInto(folder, machine, added));
  adding = done;
  return done;
}

async function mergeInto(folder: string, machine: MachineKey, added: Measurements): Promise<boolean> {
  const decisions = Object.fromEntries([...(await readMeasurements(folder, machine)), ...added]);
  const path = cacheFileOf(folder, machine);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, `${JSON.stringify({ format: FORMAT, machine, decisions }, undefined, 1)}\n`);
    return true;
  } catch {
    return false;
  }
}
