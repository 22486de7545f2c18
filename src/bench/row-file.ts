import { existsSync, readFileSync } from "node:fs";
import { LimberError } from "../base/index.js";
import { type EngineRow, engineRow } from "./rows.js";

/** Rows that earlier runs kept, one in a line; none when there is no such file. Throws: `data.invalid` for another file. */
export function readRowFile(path: string): EngineRow[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.flatMap((line, i) => {
    if (line.trim() === "") return [];
    const row = engineRow.safeParse(parseJson(line));
    if (row.success) return [row.data];
    const message = `rows "${path}", line ${i + 1}: a row of this benchmark, got "${line.slice(0, 40)}"; name another file`;
    throw new LimberError("data.invalid", message, { path, line: i + 1 });
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
