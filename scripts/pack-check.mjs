// Packs the package, installs the tarball in an empty folder, imports every subpath and runs the command line.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), "limber-pack-"));
const env = { ONNXRUNTIME_NODE_INSTALL: "skip", ...process.env };
const run = (command, args, cwd) =>
  execFileSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
try {
  run(process.execPath, [join(root, "node_modules/publint/src/cli.js"), "--strict"], root);
  const [packed] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], root));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "stranger", private: true, type: "module" }));
  run(
    "npm",
    ["install", "--prefer-offline", "--no-fund", "--no-audit", "--loglevel=error", `./${packed.filename}`],
    folder,
  );
  const { exports, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const subpaths = Object.keys(exports).filter((path) => path !== "./package.json");
  for (const path of subpaths) {
    const name = `limber${path.slice(1)}`;
    const count = run(
      process.execPath,
      ["-e", `import("${name}").then((m) => console.log(Object.keys(m).length))`],
      folder,
    );
    if (!(Number(count) > 0)) throw new Error(`${name} exports nothing`);
  }
  const limber = join(folder, "node_modules/.bin/limber");
  if (run(limber, ["--version"], folder).trim() !== version)
    throw new Error("limber --version does not tell the version");
  const doctor = JSON.parse(run(limber, ["doctor", "--json"], folder));
  if (!doctor.ok) throw new Error(`limber doctor: ${JSON.stringify(doctor)}`);
  const megabytes = (packed.size / 2 ** 20).toFixed(1);
  console.log(
    `pack check: ${packed.files.length} files, ${megabytes} MiB, ${subpaths.length} subpaths, command line: passed`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
