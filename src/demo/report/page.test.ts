import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeModelFile } from "../../run/node.js";
import { runDemo } from "../run-demo.js";
import { html, percent, points } from "./html.js";

describe("report text", () => {
  it("escapes what it is given, and leaves its own HTML alone", () => {
    const cell = html`<td>${`<a href="x">'&'`}</td>`;
    expect(
      html`<tr>
        ${[cell, cell]}${cell}
      </tr>`.text.match(/<td>&#60;a href=&#34;x&#34;&#62;&#39;&#38;&#39;<\/td>/g),
    ).toHaveLength(3);
  });

  it("writes shares and differences as people do", () => {
    expect([percent(0.8437), percent(1)]).toEqual(["84.4 %", "100.0 %"]);
    expect([points(0.1), points(-0.0234), points(0.0001), points(-0.0001)]).toEqual(["+10.0", "−2.3", "±0.0", "±0.0"]);
  });
});

const CHROMIUM = [process.env.CHROMIUM, "/usr/bin/chromium"].find((path) => path !== undefined && existsSync(path));

describe.runIf(CHROMIUM)(`the report in ${CHROMIUM ?? "Chromium (not found here: set CHROMIUM)"}`, () => {
  const runs = mkdtempSync(join(tmpdir(), "limber-report-"));
  let browser: Browser;
  let address: string;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox", "--disable-gpu"] });
    const { folder } = await runDemo({
      ...{ runs, seed: 5, visits: ["day", "fog", "day"], images: 16, labelled: 8, command: "limber demo", threads: 1 },
      drifts: [],
      windows: 0,
      publish: ({ path, model }) => writeModelFile(path, model),
    });
    address = pathToFileURL(join(folder, "results.html")).href;
  });
  afterAll(async () => {
    await browser.close();
    rmSync(runs, { recursive: true, force: true });
  });

  it.each(["light", "dark"] as const)("opens offline without a complaint, in %s", async (colorScheme) => {
    const context = await browser.newContext({ colorScheme, offline: true });
    const page = await context.newPage();
    const complaints: string[] = [];
    const requests: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(address);
    expect(complaints).toEqual([]);
    expect(requests.filter((url) => !url.startsWith("data:"))).toEqual([address]);
    expect(await page.title()).toMatch(/limber demo: 3 visits/);
    expect(await page.locator("#figures tbody tr").count()).toBe(3);
    expect(await page.locator("#elastic tbody tr").count()).toBe(3);
    expect(await page.locator("#accuracy .series").count()).toBe(4);
    const chart = (await page.locator("#accuracy").boundingBox())!;
    expect(chart.width).toBeGreaterThan(700);
    const unreadable = await page
      .locator("img")
      .evaluateAll(
        (images) => images.filter((image) => (image as { naturalWidth?: number }).naturalWidth !== 32).length,
      );
    expect(unreadable).toBe(0);
    expect(await page.getByRole("img", { name: "Accuracy in each visit" }).count()).toBe(1);
    await context.close();
  });

  it("fits a phone without scrolling the page sideways", async () => {
    const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
    await page.goto(address);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
    await page.close();
  });
});
