import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as graph from "../../src/graph/index.js";
import { createMachine, findChromium, Trainer } from "../../src/run/node.js";
import { bundlePage, findSwiftShader, serveFolder, SOFTWARE_WEBGPU } from "./browser.js";
import { type Run, trainOn, WORKLOADS } from "./workload.mjs";

/** Most that a loss or a weight may be off after five steps. */
const TOLERANCE = 1e-3;
/** WebGPU on the processor compiles each kernel for a tenth of a second, and there are about a hundred. */
const PATIENCE_MS = 600_000;

type Runs = Readonly<Record<string, Run>>;
let expected: Runs;
beforeAll(async () => {
  await using machine = createMachine();
  const runs: Record<string, Run> = {};
  for (const name of WORKLOADS) runs[name] = await trainOn({ graph, Trainer }, machine, name);
  expected = runs;
}, PATIENCE_MS);

const mostDifference = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), a.length === b.length ? 0 : Infinity);

function expectSame(runs: Runs, workloads: readonly string[] = WORKLOADS): void {
  expect(Object.keys(runs).sort()).toEqual([...workloads].sort());
  for (const [name, run] of Object.entries(runs)) {
    const { losses, weights, isRefused } = expected[name]!;
    expect(isRefused, name).toBe(true);
    expect(run.isRefused, name).toBe(true);
    // Without this a provider that trains nothing would pass.
    expect(Math.abs(losses[0]! - losses[4]!), name).toBeGreaterThan(50 * TOLERANCE);
    expect(mostDifference(run.losses, losses), name).toBeLessThan(TOLERANCE);
    expect(mostDifference(run.weights, weights), name).toBeLessThan(TOLERANCE);
  }
}

const [browserPath, swiftShader] = [findChromium(), findSwiftShader()];
const found = (what: string | undefined): string => what ?? "none found: not tested; install Debian's chromium";

describe(`five training steps give on the CPU what they give on WebGPU in Node.js (SwiftShader: ${found(swiftShader?.folder)})`, () => {
  test.runIf(swiftShader)(
    "on two machines at the same time",
    async () => {
      const { folder, driver } = swiftShader!;
      const env = { ...process.env, VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: folder };
      const script = join(import.meta.dirname, "on-node.mjs");
      const options = { env, maxBuffer: 2 ** 26 };
      const { stdout } = await promisify(execFile)(process.execPath, [script, "webgpu"], options);
      expectSame(JSON.parse(stdout) as Runs);
    },
    PATIENCE_MS,
  );
});

describe(`five training steps give on the CPU what they give in a browser (Chromium: ${found(browserPath)})`, () => {
  let browser: Browser;
  let page: Page;
  const resources: AsyncDisposable[] = [];
  beforeAll(async () => {
    if (browserPath === undefined) return;
    const bundle = await bundlePage(join(import.meta.dirname, "page"));
    const server = await serveFolder(bundle.folder);
    resources.push(server, bundle);
    browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox", ...SOFTWARE_WEBGPU] });
    page = await browser.newPage();
    await page.goto(server.url);
  }, PATIENCE_MS);
  afterAll(async () => {
    await browser?.close();
    for (const resource of resources) await resource[Symbol.asyncDispose]();
  });

  const trainAll = (provider: string, workloads: readonly string[] = WORKLOADS): Promise<Runs> =>
    page.evaluate(`trainAll(${JSON.stringify(provider)}, ${JSON.stringify(workloads)})`);
  // WebGPU on the processor takes half a minute for each network; Node.js has just run them all on it.
  const onGraphics = process.env.LIMBER_FULL === undefined ? WORKLOADS.slice(0, 1) : WORKLOADS;

  test.runIf(browserPath)("on WebAssembly, with threads", async () => {
    expect(await page.evaluate("crossOriginIsolated")).toBe(true);
    expectSame(await trainAll("wasm"));
  });

  test.runIf(browserPath)(
    `on WebGPU: ${onGraphics.join(", ")}`,
    async () => expectSame(await trainAll("webgpu", onGraphics), onGraphics),
    PATIENCE_MS,
  );

  test.runIf(browserPath)("and a provider that browsers do not have is refused by name", async () => {
    await expect(trainAll("cuda")).rejects.toThrow(/one of wasm, webgpu in a browser, got "cuda"/);
  });
});
