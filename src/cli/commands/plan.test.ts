import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EXIT } from "../command.js";
import { limber, temporaryFolder } from "../harness.test-helper.js";

const folder = temporaryFolder();
const EXAMPLE = join(import.meta.dirname, "../../../docs/examples/plan.json");

describe("limber plan", () => {
  it("prints what each app gets and the grants that decided", async () => {
    const { code, stdout, stderr } = await limber(["plan", EXAMPLE]);
    expect(code, stderr).toBe(EXIT.ok);
    expect(stdout).toMatch(/^planner filterGrained: [\d.]+ s of 30\.00 s/m);
    expect(stdout).toMatch(/app +level +filters +steps +share +expected +shed/);
    expect(stdout).toMatch(/gain per second/);
  });

  it("prints one object with --json, within the window, for another planner too", async () => {
    for (const planner of ["filterGrained", "uniform"]) {
      const { code, json } = await limber(["plan", EXAMPLE, "--planner", planner, "--json"]);
      expect(code).toBe(EXIT.ok);
      const { planner: name, costMs, windowMs, allocations } = json();
      expect(name).toBe(planner);
      expect(costMs as number).toBeLessThanOrEqual(windowMs as number);
      expect(allocations).toHaveLength(3);
    }
  });

  it.each([
    ["a file that is not there", "absent.json", undefined, /plan request ".*absent\.json": a file, got none/],
    ["a file that is no JSON", "broken.json", "{", /JSON, got/],
    ["a request without apps", "empty.json", '{"device": {"windowMs": 1000, "memoryBytes": 1}}', /apps/],
  ])("refuses %s, and says what it expects", async (_, file, text, message) => {
    const path = join(folder, file);
    if (text !== undefined) writeFileSync(path, text);
    const { code, stderr } = await limber(["plan", path]);
    expect(code).not.toBe(EXIT.ok);
    expect(stderr).toMatch(message);
  });
});
