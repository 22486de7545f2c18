import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { buildNetwork } from "../../graph/index.js";
import { EXIT } from "../command.js";
import {
  limber,
  temporaryFolder,
  tinyModel,
  writeTinyArrays,
  writeTinyFolders,
  writeTinyModel,
} from "../harness.test-helper.js";

const folder = temporaryFolder();
const model = writeTinyModel(folder);
const arrays = writeTinyArrays(folder);

interface Found {
  readonly total: number;
  readonly correct: number;
  readonly accuracy: number;
  readonly skipped: number;
  readonly domains: readonly { name: string; total: number; correct: number; accuracy: number }[];
}
const evaluate = async (...argv: string[]): Promise<Found> => {
  const { stdout } = await limber(["eval", model, ...argv, "--json", "--quiet"]);
  return JSON.parse(stdout) as Found;
};

describe("limber eval", () => {
  it("counts correct predictions domain by domain, whatever the batch", async () => {
    const found = await evaluate("--data", arrays, "--preset", "cifar");
    expect(found).toMatchObject({ total: 48, skipped: 0 });
    expect(found.domains.map(({ name, total }) => [name, total])).toEqual([
      ["clean", 24],
      ["noisy", 24],
    ]);
    expect(found.correct).toBe(found.domains[0]!.correct + found.domains[1]!.correct);
    expect(found.accuracy).toBe(found.correct / 48);
    expect(await evaluate("--data", arrays, "--preset", "cifar", "--batch", "7")).toEqual(found);
  });

  it("prints a table for a human, progress apart from it", async () => {
    const { code, stdout, stderr } = await limber(["eval", model, "--data", arrays, "--preset", "cifar"]);
    expect(code).toBe(EXIT.ok);
    expect(stdout).toMatch(/^domain +images +correct +accuracy\nclean +24 +\d+ +\d+\.\d\d %\nnoisy .*\nall +48 .*\n$/);
    expect(stderr).toContain("eval 24/24 clean\n");
  });

  it("skips, counts and names an image that cannot be read", async () => {
    const pictures = await writeTinyFolders(folder);
    const { code, json, stderr } = await limber(["eval", model, "--data", pictures, "--preset", "cifar", "--json"]);
    expect(code).toBe(EXIT.ok);
    expect(json()).toMatchObject({ total: 9, skipped: 1 });
    expect(stderr).toMatch(/skipped .*broken\.png: /);
  });

  it("keeps to the domains and the number of images asked for, the same ones for a seed", async () => {
    const few = ["--data", arrays, "--preset", "cifar", "--domains", "noisy", "--limit", "10"];
    const found = await evaluate(...few);
    expect(found.domains).toMatchObject([{ name: "noisy", total: 10 }]);
    expect(await evaluate(...few)).toEqual(found);
  });

  it("takes the preprocessing from flags, and warns of a guess", async () => {
    const guessed = await limber(["eval", model, "--data", arrays]);
    expect(guessed.stderr).toContain("warning: preprocessing: levels divided by 255 is a guess");
    const told = await limber([
      "eval",
      model,
      "--data",
      arrays,
      "--scale",
      "0.01",
      "--mean",
      "0.5,0.4,0.3",
      "--std",
      "0.2",
    ]);
    expect(told).toMatchObject({ code: EXIT.ok, stderr: expect.not.stringContaining("warning") as string });
  });

  it("runs a model that fixes its batch", async () => {
    const tiny = tinyModel();
    const inputs = [{ ...tiny.graph.inputs[0]!, dims: [1, 3, 16, 16] }];
    const path = writeTinyModel(temporaryFolder(), { ...tiny, graph: { ...tiny.graph, inputs } });
    const { json, stderr } = await limber([
      "eval",
      path,
      "--data",
      arrays,
      "--preset",
      "cifar",
      "--limit",
      "3",
      "--json",
    ]);
    expect(stderr).toContain("the model fixes its batch");
    expect(json()).toMatchObject({ total: 6 });
  });

  it("sees the embedded world", async () => {
    const wide = buildNetwork("resnet8", { imageSize: 16, classes: 10, width: 0.25 });
    const path = writeTinyModel(temporaryFolder(), wide);
    const { code, json } = await limber([
      "eval",
      path,
      "--data",
      "world:day,fog",
      "--limit",
      "5",
      "--preset",
      "cifar",
      "--json",
    ]);
    expect(code).toBe(EXIT.ok);
    expect(json()).toMatchObject({ total: 10, domains: [{ name: "day" }, { name: "fog" }] });
  });

  it("stops when asked to, with exit code 130", async () => {
    const { code, stdout } = await limber(["eval", model, "--data", arrays, "--preset", "cifar"], {
      signal: AbortSignal.abort(),
    });
    expect({ code, stdout }).toEqual({ code: EXIT.interrupted, stdout: "" });
  });

  it.each([
    ["another size than the model's", ["--size", "32"], EXIT.failure, "shape.mismatch"],
    ["three sizes", ["--size", "3x16x16"], EXIT.usage, "config.invalid"],
    ["a domain that is not there", ["--domains", "foggy"], EXIT.usage, "config.invalid"],
    ["a severity of data without", ["--severity", "3", "--domains", "clean"], EXIT.usage, "config.invalid"],
    ["more classes than the model knows", ["--classes", "a,b,c,d"], EXIT.failure, "data.invalid"],
  ])("refuses %s", async (_, flags, exitCode, errorCode) => {
    const { code, json } = await limber(["eval", model, "--data", arrays, ...flags, "--json"]);
    expect(json()).toMatchObject({ error: { code: errorCode } });
    expect(code).toBe(exitCode);
  });

  it("refuses a file that is no model, and a model that is no classifier", async () => {
    const truncated = join(folder, "truncated.onnx");
    writeFileSync(truncated, readFileSync(model).subarray(0, 3000));
    expect((await limber(["eval", truncated, "--data", arrays, "--json"])).json()).toMatchObject({
      error: { code: "model.malformed" },
    });
    const tiny = tinyModel();
    const outputs = [{ ...tiny.graph.outputs[0]!, dims: ["batch", 3, 4, 4] }];
    const path = writeTinyModel(temporaryFolder(), { ...tiny, graph: { ...tiny.graph, outputs } });
    expect((await limber(["eval", path, "--data", arrays])).stderr).toContain(
      "a classifier whose first output is [N,K]",
    );
  });
});
