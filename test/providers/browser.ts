import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { build } from "vite";
import { findChromium } from "../../src/run/node.js";

/** Debian's folder of Chromium's libraries, with SwiftShader: WebGPU on the processor, through Vulkan. */
export function findSwiftShader(): { readonly folder: string; readonly driver: string } | undefined {
  const chromium = findChromium();
  const folders = ["/usr/lib/chromium", ...(chromium === undefined ? [] : [dirname(chromium)])];
  const folder = folders.find((path) => existsSync(join(path, "vk_swiftshader_icd.json")));
  return folder === undefined ? undefined : { folder, driver: join(folder, "vk_swiftshader_icd.json") };
}

/** Flags under which a Chromium without a graphics device has WebGPU. */
export const SOFTWARE_WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
  "--disable-vulkan-surface",
];

/** A page bundled as an application would be, in a folder of its own. */
export async function bundlePage(root: string): Promise<AsyncDisposable & { readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "limber-page-"));
  await build({
    ...{ root, configFile: false, logLevel: "error", worker: { format: "es" } },
    build: { outDir: folder, emptyOutDir: true, target: "es2022", minify: false },
  });
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/** Serves a folder on this machine, isolated from other origins: only such pages may have threads. */
export async function serveFolder(folder: string): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = join(folder, pathname === "/" ? "index.html" : pathname);
    readFile(path).then(
      (content) => {
        response.writeHead(200, {
          "content-type": TYPES[extname(path)] ?? "application/octet-stream",
          "cross-origin-opener-policy": "same-origin",
          "cross-origin-embedder-policy": "require-corp",
        });
        response.end(content);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
