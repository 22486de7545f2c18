import { expect, it } from "vitest";
import { limber } from "../harness.test-helper.js";

it("limber doctor checks every part, and its exit code says whether all is well", async () => {
  const { code, json } = await limber(["doctor", "--json"]);
  const { ok, checks } = json() as { ok: boolean; checks: { name: string; ok: boolean; detail: string }[] };
  expect(checks.map(({ name }) => name)).toEqual([
    "limber",
    "node",
    "onnx-runtime",
    "providers",
    "images",
    "world",
    "threads",
    "disk",
  ]);
  expect(checks.filter((check) => check.name !== "disk" && !check.ok)).toEqual([]);
  expect(ok).toBe(checks.every((check) => check.ok));
  expect(code).toBe(ok ? 0 : 1);
  const { stdout } = await limber(["doctor"]);
  expect(stdout).toMatch(/^ok +limber +\d/);
});
