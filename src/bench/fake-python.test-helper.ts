import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/**
 * An executable that speaks the protocol of `peers/bench_engine.py` and computes nothing: `answers` is JavaScript for a
 * function from a command to an answer, or to undefined for a process that dies.
 */
export function fakePython(answers: string): string {
  const folder = mkdtempSync(join(tmpdir(), "limber-bench-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "python");
  const lines = [
    `#!${process.execPath}`,
    `const answers = ${answers};`,
    `require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {`,
    `  const answer = answers(JSON.parse(line));`,
    `  if (answer === undefined) process.exit(3);`,
    `  process.stdout.write((typeof answer === "string" ? answer : JSON.stringify(answer)) + "\\n");`,
    `});`,
  ];
  writeFileSync(path, lines.join("\n"));
  chmodSync(path, 0o755);
  return path;
}
