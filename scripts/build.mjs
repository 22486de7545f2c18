// Compiles src/ to dist/ and packs the digits of the embedded world.
import { spawnSync } from "node:child_process";
import { chmodSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
rmSync(join(root, "dist"), { recursive: true, force: true });
for (const args of [[tsc, "-p", "tsconfig.build.json"], ["scripts/pack-digits.mjs"]]) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}
chmodSync(join(root, "dist", "cli", "main.js"), 0o755); // npm does this on install, when there is no dist/ yet
