import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileError, writeFileAtomic } from "../run/node.js";

/** Makes `<base>/<name>-<n>` with the first n that is free, never one that exists, and in it `weights`. Throws: `io.full`, `io.failed`. */
export async function claimRunFolder(base: string, name: string): Promise<string> {
  try {
    await mkdir(base, { recursive: true });
    for (let n = 1; ; n++) {
      const folder = join(base, `${name}-${n}`);
      if (!(await claim(folder))) continue;
      await mkdir(join(folder, "weights"));
      return folder;
    }
  } catch (cause) {
    throw fileError(`folder "${base}"`, cause);
  }
}

async function claim(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Records as CSV, keys as the header. Numbers and names only: nothing that would need quotes. */
export function toCsv(records: readonly object[]): string {
  const rows = [Object.keys(records[0] ?? {}), ...records.map((record) => Object.values(record) as unknown[])];
  return rows.map((row) => `${row.join(",")}\n`).join("");
}

/** What happened, one JSON object a line, in order. On disk is always a whole number of lines. */
export class Journal {
  private readonly lines: string[] = [];
  private readonly start = performance.now();

  constructor(private readonly path: string) {}

  /** Seconds since the journal began. */
  get seconds(): number {
    return (performance.now() - this.start) / 1000;
  }

  add(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push(JSON.stringify({ seconds: Number(this.seconds.toFixed(3)), event, ...fields }));
  }

  /** Throws: `io.full`, `io.failed`. */
  write(): Promise<void> {
    return writeFileAtomic(this.path, this.lines.map((line) => `${line}\n`).join(""));
  }
}
