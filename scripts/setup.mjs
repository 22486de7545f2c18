// Brings a fresh clone to a state that runs: dependencies, then the build. What is done already is skipped.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 9)) {
  console.error(`limber: Node.js 20.9 or later, got ${process.versions.node}`);
  process.exit(1);
}

function hashOf(paths) {
  const hash = createHash("sha256").update(process.versions.node);
  for (const path of paths) hash.update(path).update(readFileSync(join(root, path)));
  return hash.digest("hex");
}

function filesBelow(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
    .sort();
}

/** Runs `work` unless its stamp says that it was done for the same inputs. */
function once(stamp, hash, what, work) {
  const path = join(root, stamp);
  if (existsSync(path) && readFileSync(path, "utf8") === hash) return;
  process.stderr.write(`limber: ${what}\n`);
  work();
  writeFileSync(path, hash);
}

function run(command, args, env = {}) {
  // npm is a script on Windows, which only a shell can start.
  const shell = process.platform === "win32";
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...env, ...process.env },
    shell,
  });
  if (status !== 0) process.exit(status ?? 1);
}

// ONNX Runtime's install script would download CUDA files; a user who wants them sets the variable to another value.
const install = { ONNXRUNTIME_NODE_INSTALL: "skip" };
once("node_modules/.limber-setup", hashOf(["package.json", "package-lock.json"]), "installing dependencies", () => {
  run("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"], install);
});
once(
  "dist/.limber-build",
  hashOf([...filesBelow("src"), ...filesBelow("scripts"), "tsconfig.json", "tsconfig.build.json"]),
  "building",
  () => {
    run(process.execPath, ["scripts/build.mjs"]);
  },
);
