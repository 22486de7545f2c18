import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder, writeTinyFolders, writeTinyModel } from "../src/cli/harness.test-helper.js";
import { readModel } from "../src/graph/index.js";
import { compileExample, type Example } from "./helpers/example.js";
import { blocksOf, readPage } from "./helpers/markdown.js";

/** The names of files that a program gives to a function. */
const namesGivenTo = (called: string, code: string): string[] =>
  [...code.matchAll(new RegExp(`\\b${called}\\("([^"]+)"`, "g"))].map(([, name = ""]) => name);

describe("the program in the README", () => {
  const folder = temporaryFolder();
  let code: string;
  let example: Example;
  beforeAll(() => {
    code = blocksOf(readPage("README.md")).find(({ language }) => language === "ts")?.code ?? "";
    example = compileExample(folder, code);
  }, 120_000);

  test("adapts a model of the user's on data of the user's", () => {
    expect(code.trim().split("\n").length).toBeGreaterThan(5);
    for (const called of ["readModelFile", "readDataset", "writeModelFile"])
      expect(namesGivenTo(called, code), called).toHaveLength(1);
  });

  test("compiles as it stands", () => {
    expect(example.problems).toEqual([]);
  });

  test("runs on a tiny model and a folder of pictures, and writes a model", async () => {
    const [model, data, output] = ["readModelFile", "readDataset", "writeModelFile"].map((called) =>
      join(folder, namesGivenTo(called, code)[0]!),
    ) as [string, string, string];
    renameSync(writeTinyModel(folder), model);
    renameSync(await writeTinyFolders(folder, 30), data);
    await example.run();
    const { inputs, outputs } = readModel(readFileSync(output)).graph;
    const given = readModel(readFileSync(model)).graph;
    expect({ inputs, outputs }).toEqual({ inputs: given.inputs, outputs: given.outputs });
  });
});
