import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";

interface Layer {
  readonly folder: string;
  /** Files that other folders may import. */
  readonly entries: readonly string[];
  /** Packages and Node modules that it may use; nothing when absent. */
  readonly packages?: RegExp;
}

const PORTABLE = /^(?:@bufbuild\/protobuf(?:\/.*)?|onnx-buf)$/;
const ANY = /./;
const BROWSER_PACKAGES =
  /^(?:@bufbuild\/protobuf(?:\/.*)?|onnx-buf|zod|onnxruntime-common|onnxruntime-web\/(?:wasm|webgpu))$/;

/** Top to bottom: a folder imports only from folders above it, through their entries. Subfolders belong to their folder. */
const LAYERS: readonly Layer[] = [
  { folder: "base", entries: ["index.ts"] },
  { folder: "graph/ir", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph/ops", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph/onnx", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph/passes", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph/gates", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph/networks", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph/patches", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph/autodiff", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph/reference", entries: ["index.ts"], packages: PORTABLE },
  { folder: "graph", entries: ["index.ts"] },
  { folder: "run", entries: ["node.ts"], packages: ANY },
  { folder: "vision", entries: ["index.ts", "world/index.ts", "corrupt/index.ts"], packages: ANY },
  { folder: "drift", entries: ["index.ts"], packages: ANY },
  { folder: "adapt", entries: ["index.ts"], packages: ANY },
  { folder: "elastic", entries: ["index.ts"], packages: ANY },
  { folder: "patch", entries: ["index.ts"], packages: ANY },
  { folder: "schedule", entries: ["index.ts"], packages: ANY },
  { folder: "demo", entries: ["index.ts"], packages: ANY },
  { folder: "bench", entries: ["index.ts"], packages: ANY },
  { folder: "cli", entries: [], packages: ANY },
  { folder: "", entries: [] },
];

const root = join(import.meta.dirname, "..");
const source = join(root, "src");
const sourceFiles = readdirSync(source, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => /\.ts$/.test(path) && !/\.test(?:-helper)?\.ts$/.test(path))
  .sort();

interface Import {
  readonly from: string;
  /** A path in src, or the name of a package. */
  readonly to: string;
  readonly local: boolean;
}

/** Imports of types, re-exports and `import()` included. */
const importsOf = (path: string): Import[] =>
  ts.preProcessFile(readFileSync(join(source, path), "utf8")).importedFiles.map(({ fileName }) => {
    if (!fileName.startsWith(".")) return { from: path, to: fileName, local: false };
    const to = relative(source, join(source, dirname(path), fileName)).replaceAll("\\", "/");
    return { from: path, to: to.replace(/\.js$/, ".ts"), local: true };
  });

const imports = sourceFiles.flatMap(importsOf);
const rankOf = (path: string): number =>
  LAYERS.findIndex(({ folder }) => folder === "" || path.startsWith(`${folder}/`));
const layerOf = (path: string): Layer => LAYERS[rankOf(path)]!;
const between = imports.filter(({ from, to, local }) => local && layerOf(from) !== layerOf(to));
const show = ({ from, to }: Import): string => `${from} -> ${to}`;

describe("architecture", () => {
  test("every import is of a file that is there", () => {
    expect(imports.filter(({ to, local }) => local && !sourceFiles.includes(to)).map(show)).toEqual([]);
    expect(imports.length).toBeGreaterThan(sourceFiles.length);
  });

  test("the decoder of pictures loads with the first picture, not with the library", () => {
    const loadsAtOnce = (path: string): boolean =>
      /^import (?!type\b)[^;]*"sharp"/m.test(readFileSync(join(source, path), "utf8"));
    expect(imports.filter(({ to }) => to === "sharp").map(({ from }) => from)).toContain("vision/image/sharp.ts");
    expect(sourceFiles.filter(loadsAtOnce)).toEqual([]);
  });

  test("a folder imports only from folders above it", () => {
    expect(between.filter(({ from, to }) => rankOf(to) > rankOf(from)).map(show)).toEqual([]);
  });

  test("folders import each other through their entries", () => {
    const isEntry = (path: string): boolean => {
      const { folder, entries } = layerOf(path);
      return entries.some((entry) => path === `${folder}/${entry}`);
    };
    expect(between.filter(({ to }) => !isEntry(to)).map(show)).toEqual([]);
  });

  test("no files import each other in a circle, types included", () => {
    expect(circlesAmong(imports.filter(({ local }) => local))).toEqual([]);
  });

  test("base and graph use no Node module, and no package but protobuf", () => {
    const foreign = imports.filter(({ from, to, local }) => !local && !layerOf(from).packages?.test(to));
    expect(foreign.map(show)).toEqual([]);
  });

  test("what a browser loads reaches no Node module, and no package that needs one", () => {
    const reached = new Set(["run/web.ts", "run/web/worker.ts"]);
    for (const path of reached)
      for (const { to, local } of imports.filter(({ from }) => from === path)) if (local) reached.add(to);
    const packages = new Set(imports.filter(({ from, local }) => !local && reached.has(from)).map(({ to }) => to));
    expect(reached.size).toBeGreaterThan(50);
    expect([...packages].filter((name) => !BROWSER_PACKAGES.test(name))).toEqual([]);
  });

  test("packages that are used are dependencies", () => {
    const { dependencies, peerDependencies } = manifest();
    const nameOf = (to: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(to)![0];
    const packages = imports.filter(({ to, local }) => !local && !to.startsWith("node:"));
    expect(
      packages.filter(({ to }) => !Object.hasOwn({ ...dependencies, ...peerDependencies }, nameOf(to))).map(show),
    ).toEqual([]);
  });

  test("no file is longer than 500 lines, and none has a default export", () => {
    const texts = sourceFiles.map((path) => ({ path, text: readFileSync(join(source, path), "utf8") }));
    expect(texts.filter(({ text }) => text.split("\n").length > 501).map(({ path }) => path)).toEqual([]);
    const defaults = /^export default\b|^export \{[^}]*\bas default\b/m;
    expect(texts.filter(({ text }) => defaults.test(text)).map(({ path }) => path)).toEqual([]);
  });

  test("every path in the exports of the package has a source file", () => {
    const targets = Object.values(manifest().exports).flatMap((entry) =>
      typeof entry === "string" ? [entry] : Object.values(entry),
    );
    const sources = targets.map((path) => path.replace(/^\.\/dist\/(.*?)(?:\.d\.ts|\.js)$/, "./src/$1.ts"));
    expect(sources.length).toBeGreaterThan(5);
    expect(sources.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

function manifest(): {
  exports: Record<string, string | Record<string, string>>;
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
} {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as ReturnType<typeof manifest>;
}

/** One circle per group of files that reach each other, found by depth-first search. */
function circlesAmong(edges: readonly Import[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to } of edges) targets.set(from, [...(targets.get(from) ?? []), to]);
  const done = new Set<string>();
  const path: string[] = [];
  const circles: string[] = [];
  const visit = (file: string): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
    else if (!done.has(file)) {
      path.push(file);
      for (const target of targets.get(file) ?? []) visit(target);
      path.pop();
      done.add(file);
    }
  };
  for (const file of targets.keys()) visit(file);
  return circles;
}
