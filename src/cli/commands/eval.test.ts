import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { tensorOf } from "../../base/index.js";
import { buildNetwork, type Dim, type Model, writeModel } from "../../graph/index.js";
import { encodeImage, writeTaskRecord } from "../../vision/index.js";
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

  it("refuses a file that is no model, a model of no known task, and data without masks for a segmenter", async () => {
    const truncated = join(folder, "truncated.onnx");
    writeFileSync(truncated, readFileSync(model).subarray(0, 3000));
    expect((await limber(["eval", truncated, "--data", arrays, "--json"])).json()).toMatchObject({
      error: { code: "model.malformed" },
    });
    const tiny = tinyModel();
    const refusalOf = async (dims: readonly Dim[]): Promise<string> => {
      const outputs = [{ ...tiny.graph.outputs[0]!, dims }];
      const path = writeTinyModel(temporaryFolder(), { ...tiny, graph: { ...tiny.graph, outputs } });
      return (await limber(["eval", path, "--data", arrays])).stderr;
    };
    expect(await refusalOf(["batch", 3, 4, 4])).toMatch(/a mask for every picture expected.*\(data\.invalid\)/);
    expect(await refusalOf(["batch", 3, 16])).toMatch(/or metadata "limber\.task".*\(method\.unsuitable\)/);
  });
});

describe("limber eval of masks", () => {
  /** Tells dark pixels, class 0, from bright ones. */
  const segmenter = (): Model => {
    const weight = tensorOf("float32", [2, 3, 1, 1], [-1, -1, -1, 1, 1, 1]);
    const bias = tensorOf("float32", [2], [1.5, -1.5]);
    const model = modelOf({
      inputs: { x: ["N", 3, 2, 4] },
      outputs: { y: ["N", 2, 2, 4] },
      initializers: { weight, bias },
      nodes: [node("Conv", ["x", "weight", "bias"], ["y"])],
    });
    return writeTaskRecord(model, { task: "segmentation", classes: ["dark", "bright"] });
  };
  const greyOf = (...data: number[]): Promise<Uint8Array> =>
    encodeImage({ width: 4, height: 2, channels: 1, data: Uint8Array.from(data) });

  it("gives mIoU and each class's IoU, by domain and over all pixels, and skips broken masks", async () => {
    const path = join(folder, "segmenter.onnx");
    writeFileSync(path, writeModel(segmenter()));
    const data = join(folder, "masks");
    for (const name of ["images", "labels"]) mkdirSync(join(data, name), { recursive: true });
    const write = (name: string, bytes: string | Uint8Array): void => writeFileSync(join(data, name), bytes);
    const picture = await greyOf(0, 0, 0, 0, 255, 255, 255, 255);
    for (const stem of ["a", "b", "c"]) write(`images/${stem}.png`, picture);
    write("labels/a.png", await greyOf(0, 0, 0, 0, 1, 1, 1, 255));
    write("labels/b.png", await greyOf(0, 0, 0, 0, 0, 0, 1, 1));
    write("labels/c.png", "no mask");
    write("classes.txt", "dark\nbright\n");
    write("frames.tsv", "file\tlight\na.png\tday\nb.png\tdusk\nc.png\tdusk\n");
    const argv = ["eval", path, "--data", data, "--domains-by", "light"];
    const { json, stderr } = await limber([...argv, "--json"]);
    const [dark, bright] = [8 / 10, 5 / 7];
    const details = { pixelAccuracy: 13 / 15, "IoU dark": dark, "IoU bright": bright };
    expect(json()).toEqual({
      ...{ task: "segmentation", metric: "mIoU", value: (dark + bright) / 2, samples: 2, skipped: 1, details },
      domains: [
        {
          ...{ name: "day", value: 1, samples: 1, skipped: 0 },
          details: { pixelAccuracy: 1, "IoU dark": 1, "IoU bright": 1 },
        },
        {
          ...{ name: "dusk", value: (4 / 6 + 2 / 4) / 2, samples: 1, skipped: 1 },
          details: { pixelAccuracy: 6 / 8, "IoU dark": 4 / 6, "IoU bright": 2 / 4 },
        },
      ],
    });
    expect(stderr).toMatch(/skipped .*c\.png: .*a PNG expected/);
    const { stdout } = await limber([...argv, "--quiet"]);
    expect(stdout).toMatch(/^ +day +dusk +all\nimages +1 +1 +2\nmIoU +100\.00 % +58\.33 % +75\.71 %\n/);
    expect(stdout).toMatch(/IoU bright +100\.00 % +50\.00 % +71\.43 %\n1 image skipped\n$/);
  });
});
