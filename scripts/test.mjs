// Runs the tests; `--full` adds the long proofs. Real data is used where it is found, and said so where not.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [full, rest] = [process.argv.includes("--full"), process.argv.slice(2).filter((a) => a !== "--full")];
const beside = resolve(root, "../shared/data");
const data = process.env.LIMBER_DATA ?? (existsSync(beside) ? beside : undefined);
console.error(
  data ? "limber: tests on real data are on" : "limber: LIMBER_DATA is not set: tests on real data are left out",
);
const programs = [
  process.env.CHROMIUM,
  ...(process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "chromium")),
];
if (!programs.some((path) => path && existsSync(path)))
  console.error("limber: no Chromium on the PATH or in CHROMIUM: tests in a browser and on WebGPU are left out");
const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
const env = { ...process.env, ...(data && { LIMBER_DATA: data }), ...(full && { LIMBER_FULL: "1" }) };
const { status } = spawnSync(process.execPath, [vitest, "run", ...rest], { cwd: root, stdio: "inherit", env });
process.exit(status ?? 1);
