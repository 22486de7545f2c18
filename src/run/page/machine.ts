import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { LimberError } from "../../base/index.js";
import { CheckedMachine } from "../checked.js";
import type { Envelope, Reply } from "../protocol.js";
import { RemoteMachine, workerEnded } from "../remote.js";
import type { Machine } from "../session.js";
import { findChromium } from "./chromium.js";
import { packMessage, unpackMessage } from "./message.js";

export interface PageMachineOptions {
  /** The program; default: what `CHROMIUM` names, else the first `chromium` on the path. */
  readonly chromium?: string | undefined;
  /** Threads of one operator, for all sessions. Default 1. */
  readonly threads?: number | undefined;
}

/** Compiled files: a page knows no TypeScript. */
const DIST = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../../../dist" : "../..", import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script>
  const fail = (message) => void fetch("/failed", { method: "POST", body: message });
  addEventListener("error", ({ message }) => fail(message));
  addEventListener("unhandledrejection", ({ reason }) => fail(String(reason)));
</script>
<script type="importmap">{"imports":{"onnxruntime-web/wasm":"/runtime/ort.wasm.bundle.min.mjs"}}</script>
<script type="module" src="/limber/run/page/page.js" onerror="fail('a file that did not load')"></script>`;
/** For a browser to start and show its page. */
const PATIENCE_MS = 60_000;
const FLAGS = [
  ...["--headless=new", "--no-first-run", "--disable-gpu", "--disable-extensions", "--disable-background-networking"],
  ...["--remote-debugging-port=0"], // without it some builds end when the page is there
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // Chromium starts no sandbox for root
];

/**
 * A machine whose engine is onnxruntime-web on WebAssembly in a page of a Chromium without a window: what a browser computes and how long that takes,
 * asked from Node.js. For benchmarks and tests; it needs onnxruntime-web and a Chromium. Dispose it: the browser lives until then.
 * Throws: `provider.refused` with what is missing.
 */
export async function openPageMachine(options: PageMachineOptions = {}): Promise<Machine> {
  const chromium = options.chromium ?? findChromium();
  if (chromium === undefined) {
    const message = "browser: a Chromium, got none on the path; install one or name it in CHROMIUM";
    throw new LimberError("provider.refused", message);
  }
  const machine = new PageMachine(findRuntime());
  await machine.open(chromium, options.threads ?? 1);
  return new CheckedMachine(machine);
}

/** The folder of onnxruntime-web's files. */
function findRuntime(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
  } catch (cause) {
    const message = "a machine in a browser: the package onnxruntime-web, got none; npm install onnxruntime-web";
    throw new LimberError("provider.refused", message, {}, { cause });
  }
}

class PageMachine extends RemoteMachine {
  private readonly server: Server;
  private readonly requests: Uint8Array[] = [];
  /** The page, where it waits for a request. */
  private waiting: ServerResponse | undefined;
  private browser: ChildProcess | undefined;
  private profile: string | undefined;

  constructor(private readonly runtime: string) {
    super("wasm");
    this.server = createServer((request, response) => {
      this.answer(request, response).catch(() => response.writeHead(404).end());
    });
  }

  /** Starts the browser; resolves when its page asks for work. */
  async open(chromium: string, threads: number): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.profile = await mkdtemp(join(tmpdir(), "limber-browser-"));
    const url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/?threads=${threads}`;
    let late: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.browser = spawn(chromium, [...FLAGS, `--user-data-dir=${this.profile}`, url], { stdio: "ignore" });
        this.browser.once("error", reject);
        this.browser.once("exit", (code) => reject(new Error(`exit code ${code}`)));
        late = setTimeout(() => reject(new Error(`none in ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
        this.server.on("request", ({ url }: IncomingMessage) => {
          if (url === "/next") resolve();
          if (url === "/failed") reject(new Error("one that failed"));
        });
      });
    } catch (cause) {
      await this.terminate();
      const message = `browser "${chromium}": one that shows a page, got "${(cause as Error).message}"; name another in CHROMIUM`;
      throw new LimberError("provider.refused", message, { chromium }, { cause });
    } finally {
      clearTimeout(late);
    }
    this.browser?.once("exit", () => this.end(workerEnded("a browser that ended")));
  }

  protected override post(envelope: Envelope): void {
    this.requests.push(packMessage(envelope));
    this.hand();
  }

  protected override async terminate(): Promise<void> {
    const { browser, profile } = this;
    if (browser?.exitCode === null && browser.pid !== undefined) {
      const ended = new Promise((resolve) => browser.once("exit", resolve));
      browser.kill();
      await ended;
    }
    this.server.closeAllConnections();
    this.server.close();
    if (profile !== undefined) await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (pathname === "/next" || pathname === "/failed") {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = new Uint8Array(Buffer.concat(chunks)); // a copy that starts at 0 of its buffer
      if (pathname === "/failed") {
        response.end();
        return this.end(workerEnded(`"${new TextDecoder().decode(body)}" in the page`));
      }
      this.waiting = response;
      if (body.length > 0) this.settle(unpackMessage(body.buffer) as Reply);
      return this.hand();
    }
    const path = pathname === "/" ? undefined : this.pathOf(pathname);
    const content = path === undefined ? PAGE : await readFile(path);
    response.writeHead(200, {
      "content-type": path === undefined ? "text/html" : (TYPES[extname(path)] ?? "application/octet-stream"),
      // only pages that are isolated from other origins may have threads
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    });
    response.end(content);
  }

  private pathOf(pathname: string): string {
    const [, folder, ...rest] = pathname.split("/");
    return join(folder === "runtime" ? this.runtime : DIST, ...rest);
  }

  /** Gives the page its next request, where there is one and it waits. */
  private hand(): void {
    if (!this.waiting || this.requests.length === 0) return;
    this.waiting.end(this.requests.shift());
    this.waiting = undefined;
  }
}
