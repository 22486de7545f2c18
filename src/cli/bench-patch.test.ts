import { describe, expect, it } from "vitest";
import { EXIT } from "./command.js";
import { limber, temporaryFolder, writeTinyArrays, writeTinyModel } from "./harness.test-helper.js";

const folder = temporaryFolder();
const tiny = [
  ...["bench", "patch", "--world", writeTinyArrays(folder), "--models", writeTinyModel(folder), "--scale", "1"],
  ...["--pool", "16", "--images", "12", "--threads", "1", "--quiet"],
];

describe("limber bench patch", () => {
  it("gives the number of patches that it is told where nobody counts, and names where it ran", async () => {
    const { code, json, stderr } = await limber([...tiny, "--contestants", "frozen", "--json"]);
    expect(code, stderr).toBe(EXIT.ok);
    const { headline, counting } = json() as { headline: { cells: readonly object[] }; counting: readonly object[] };
    expect(headline.cells).toMatchObject([{ dataset: "arrays", task: "classification", platform: "node" }]);
    expect(counting).toEqual([]);
  });

  it("refuses to let a network count that is not there, and says how to make it", async () => {
    const { code, stderr } = await limber([...tiny, "--count", "predictor"]);
    expect([code, stderr]).toEqual([EXIT.usage, expect.stringMatching(/count: .*got none; --count learn trains one/)]);
  });

  it("names what it does not know", async () => {
    const { code, stderr } = await limber([...tiny, "--contestants", "magic"]);
    expect([code, stderr]).toEqual([EXIT.usage, expect.stringMatching(/contestants: of frozen, .*got "magic"/)]);
  });
});
