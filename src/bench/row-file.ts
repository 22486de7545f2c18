import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import type { z } from "zod";
import { LimberError } from "../base/index.js";

/** Finished rows, one JSON object in a line, so that a run that was stopped can go on after them. */
export interface RowFile<Row> {
  /** Those that earlier runs kept; none when there was no such file. */
  readonly rows: readonly Row[];
  append(row: Row): void;
}

/** Opens a file of rows; a last line that was cut off is dropped. Throws: `data.invalid` for another file, `io.failed`. */
export function openRowFile<Row>(path: string, schema: z.ZodType<Row>): RowFile<Row> {
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  const whole = bytes.lastIndexOf("\n") + 1;
  const rows = bytes
    .toString("utf8", 0, whole)
    .split("\n")
    .flatMap((line, i) => {
      if (line.trim() === "") return [];
      const row = schema.safeParse(parseJson(line));
      if (row.success) return [row.data];
      const message = `rows "${path}", line ${i + 1}: a row of this benchmark, got "${line.slice(0, 40)}"; name another file`;
      throw new LimberError("data.invalid", message, { path, line: i + 1 });
    });
  if (whole < bytes.length) {
    if (whole === 0) {
      const message = `rows "${path}": rows of this benchmark, got "${bytes.toString("utf8", 0, 40)}"; name another file`;
      throw new LimberError("data.invalid", message, { path });
    }
    truncateSync(path, whole);
  }
  return { rows, append: (row) => appendFileSync(path, `${JSON.stringify(row)}\n`) };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
