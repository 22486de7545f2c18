import { execFile } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import ts from "typescript";
import { ROOT } from "./markdown.js";

/** A program as a stranger would have it: in a folder of its own, where the package is installed. */
export interface Example {
  /** What the compiler has against it; empty when it is right. */
  readonly problems: readonly string[];
  /** Runs it in its folder and gives what it prints. Rejects when it fails. */
  run(): Promise<string>;
}

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  skipLibCheck: true,
  types: ["node"],
  typeRoots: [join(ROOT, "node_modules/@types")],
};

/** Compiles a program against the types of the built package. */
export function compileExample(folder: string, code: string): Example {
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  symlinkSync(ROOT, join(folder, "node_modules/limber"), "junction");
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  const source = join(folder, "example.ts");
  writeFileSync(source, code);
  const program = ts.createProgram([source], OPTIONS);
  const problems = ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
  program.emit();
  const run = promisify(execFile);
  return {
    problems,
    run: async () => (await run(process.execPath, ["example.js"], { cwd: folder })).stdout,
  };
}
