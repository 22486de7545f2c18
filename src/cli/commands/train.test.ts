import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readModel } from "../../graph/index.js";
import { EXIT } from "../command.js";
import { limber, temporaryFolder, writeTinyArrays, writeTinyModel } from "../harness.test-helper.js";

const folder = temporaryFolder();
const arrays = writeTinyArrays(folder);
const env = { SOURCE_DATE_EPOCH: "1700000000" };
const fromScratch = (output: string, ...flags: string[]): string[] => [
  ...["train", "--network", "resnet8", "--width", "0.25", "--size", "16", "--data", arrays, "--domains", "clean"],
  ...["--batch", "8", "--lr", "0.02", "--output", output, "--json", ...flags],
];

describe("limber train", () => {
  it("trains a built network until it knows its data, and writes it with its origin", async () => {
    const output = join(folder, "scratch.onnx");
    const validation = ["--validation", arrays, "--validation-domains", "noisy"];
    const { code, json, stderr } = await limber(fromScratch(output, "--epochs", "6", "--shift", "1", ...validation));
    expect(code, stderr).toBe(EXIT.ok);
    const found = json();
    expect(found).toMatchObject({ network: "resnet8", skipped: 0, output });
    const epochs = found.epochs as { epoch: number; loss: number; validationAccuracy: number }[];
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(epochs[5]!.loss).toBeLessThan(epochs[0]!.loss);
    expect(found.validationAccuracy).toBe(epochs[5]!.validationAccuracy);
    expect(stderr).toMatch(/epoch 6\/6: loss [\d.]+, accuracy [\d.]+ %, validation [\d.]+ %/);
    expect(existsSync(`${output}.checkpoint`)).toBe(false);
    const { metadata, producerName } = readModel(readFileSync(output));
    expect(producerName).toBe("limber");
    expect(JSON.parse(metadata.get("limber.options")!)).toMatchObject({ network: "resnet8", epochs: 6, shift: 1 });
    expect(metadata.has("limber.parent")).toBe(false);
    const evaluated = await limber(["eval", output, "--data", arrays, "--domains", "noisy", "--json"]);
    expect(evaluated.json().accuracy).toBe(found.validationAccuracy);
  });

  it("tunes when asked to, keeps what it measured, and says what it found", async () => {
    const cache = { ...env, XDG_CACHE_HOME: join(folder, "cache") };
    const run = (name: string) =>
      limber(fromScratch(join(folder, name), "--epochs", "1", "--tune", "full"), { env: cache });
    const first = await run("measured.onnx");
    expect(first.code, first.stderr).toBe(EXIT.ok);
    expect(first.stderr).toMatch(/tuned: (\d+) measured in [\d.]+ s, 0 known, of \1; \d+ differ/);
    expect((await run("known.onnx")).stderr).toMatch(/tuned: 0 measured in [\d.]+ s, (\d+) known, of \1; \d+ differ/);
    expect(readFileSync(join(folder, "known.onnx"))).toEqual(readFileSync(join(folder, "measured.onnx")));
  });

  it("goes on with a model from a file", async () => {
    const model = writeTinyModel(folder);
    const output = join(folder, "tuned.onnx");
    const argv = [
      "train",
      model,
      "--data",
      arrays,
      "--preset",
      "cifar",
      "--epochs",
      "1",
      "--batch",
      "8",
      "--output",
      output,
    ];
    const { code, stdout } = await limber(argv);
    expect(code).toBe(EXIT.ok);
    expect(stdout).toMatch(/^epoch +loss +accuracy +validation +time\n1 .* - .*\nwritten: .*tuned\.onnx\n$/);
    expect(readModel(readFileSync(output)).metadata.get("limber.parent")).toMatch(/^[\da-f]{64}$/);
  });

  it("leaves all but the last layers as they are, and computes the others once per image", async () => {
    const model = writeTinyModel(folder);
    const output = join(folder, "last.onnx");
    const flags = ["--data", arrays, "--domains", "clean", "--preset", "cifar", "--batch", "8", "--json"];
    const part = ["--last", "0.33", "--filters", "0.5", "--epochs", "3", "--output", output];
    const { code, json, stderr } = await limber(["train", model, ...flags, ...part]);
    expect(code, stderr).toBe(EXIT.ok);
    const epochs = json().epochs as { cacheHits: number }[];
    expect(epochs.map(({ cacheHits }) => cacheHits > 0)).toEqual([false, true, true]);
    const [before, after] = [model, output].map((path) => readModel(readFileSync(path)).graph.initializers);
    const changed = [...after!].filter(([name, { data }]) =>
      before!.get(name)!.data.some((value, i) => value !== data[i]),
    );
    const layers = changed.map(([name]) => name).filter((name) => name.endsWith("weight"));
    expect(layers.length).toBeGreaterThan(0);
    expect(layers.length).toBeLessThan(after!.size / 3);
  });

  it("resumes to the same bytes after it was stopped", async () => {
    const [whole, halved] = [join(folder, "whole.onnx"), join(folder, "halved.onnx")];
    expect((await limber(fromScratch(whole, "--epochs", "3"), { env })).code).toBe(EXIT.ok);
    const controller = new AbortController();
    const stopAfterFirst = (text: string): void => {
      if (text.startsWith("epoch 1/3")) controller.abort();
    };
    const stopped = await limber(fromScratch(halved, "--epochs", "3"), {
      ...{ env, signal: controller.signal, onStderr: stopAfterFirst },
    });
    expect(stopped.code).toBe(EXIT.interrupted);
    expect(stopped.json()).toMatchObject({ error: { code: "aborted", context: { epoch: 1 } } });
    expect(existsSync(halved)).toBe(false);
    const resumed = await limber(fromScratch(halved, "--epochs", "3", "--resume"), { env });
    expect(resumed.code).toBe(EXIT.ok);
    const [a, b] = [whole, halved].map((path) => readModel(readFileSync(path)).graph.initializers);
    expect([...b!.entries()]).toEqual([...a!.entries()]);
  });

  it.each([
    ["neither a model nor a network", ["train", "--data", arrays, "--output", "x"], EXIT.usage, "got neither"],
    ["an unknown network", ["train", "--network", "resnet9", "--data", arrays, "--output", "x"], EXIT.usage, "resnet8"],
    ["a batch larger than the data", fromScratch("x", "--batch", "100"), EXIT.usage, "smaller batch"],
    ["a size that is not square", fromScratch("x", "--size", "16x20"), EXIT.usage, "one number"],
    ["to resume from nothing", fromScratch("x", "--resume"), EXIT.failure, "checkpoint"],
  ])("refuses %s", async (_, argv, exitCode, message) => {
    const { code, stderr } = await limber(argv);
    expect(stderr).toContain(message);
    expect(code).toBe(exitCode);
  });
});
