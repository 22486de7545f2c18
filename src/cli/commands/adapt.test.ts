import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readModel } from "../../graph/index.js";
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
const model = writeTinyModel(folder, {
  ...tinyModel(),
  metadata: new Map([["author", "someone"]]),
  docString: "a doc",
});
const arrays = writeTinyArrays(folder);
const base = ["adapt", model, "--data", arrays, "--preset", "cifar", "--batch", "8", "--quiet", "--json"];

describe("limber adapt", () => {
  it("reports the source model as every method's starting line", async () => {
    const { code, json } = await limber([...base, "--method", "source"]);
    expect(code).toBe(EXIT.ok);
    const found = json();
    expect(found).toMatchObject({ method: "source", adaptSeconds: 0, steps: 0, refused: 0, skipped: 0, output: null });
    expect(found.onlineAccuracy).toBe(found.sourceAccuracy);
    expect(found.afterAccuracy).toBe(found.sourceAccuracy);
    const evaluated = (await limber(["eval", model, "--data", arrays, "--preset", "cifar", "--json"])).json();
    expect(found.sourceAccuracy).toBe(evaluated.accuracy);
  });

  it("adapts each domain, step by step, and says what became of it", async () => {
    const { json } = await limber([...base, "--method", "tent", "--lr", "0.01", "--optimizer", "sgd"]);
    const found = json();
    expect(found).toMatchObject({ method: "tent", steps: 6, refused: 0 });
    expect(found.domains).toMatchObject([
      { name: "clean", total: 24, steps: 3 },
      { name: "noisy", total: 24, steps: 3 },
    ]);
    for (const key of ["onlineAccuracy", "afterAccuracy", "sourceAccuracy", "adaptSeconds"]) {
      expect(found[key]).toBeTypeOf("number");
    }
  });

  it("learns from labels, and measures on images that it took no label from", async () => {
    const flags = ["--method", "finetune", "--scope", "all", "--labelled", "9", "--epochs", "12", "--lr", "0.01"];
    const found = (await limber([...base, ...flags, "--domains", "clean"])).json();
    expect(found.domains).toMatchObject([{ name: "clean", total: 9, steps: 24 }]);
    expect(found.afterAccuracy).toBeGreaterThan(found.sourceAccuracy as number);
  });

  it("passes any option on, by its flag or by --option", async () => {
    const byFlag = (await limber([...base, "--method", "bn", "--source-weight", "0.9"])).json();
    const byOption = (await limber([...base, "--method", "bn", "--option", "sourceWeight=0.9"])).json();
    expect(byOption.onlineAccuracy).toBe(byFlag.onlineAccuracy);
    const both = await limber([...base, "--method", "bn", "--source-weight", "0.9", "--prior", "16"]);
    expect(both.code).toBe(EXIT.usage);
  });

  it("adapts to a folder of pictures without labels, and measures nothing", async () => {
    const pictures = join(await writeTinyFolders(folder), "blue");
    const output = join(folder, "blind.onnx");
    const unlabelled = ["adapt", model, "--data", pictures, "--preset", "cifar", "--batch", "2"];
    const found = (await limber([...unlabelled, "--method", "bn", "--output", output, "--json"])).json();
    const nothing = { onlineAccuracy: null, afterAccuracy: null, sourceAccuracy: null };
    expect(found).toMatchObject({ ...nothing, steps: 2, domains: [{ name: "blue", total: 3, ...nothing }] });
    expect(readModel(readFileSync(output)).metadata.get("limber.metrics")).toBe(JSON.stringify(nothing));
    const { stdout, stderr } = await limber([...unlabelled, "--method", "tent"]);
    expect(stdout).toMatch(/^blue +- +- +- +2 /m);
    expect(stderr).toMatch(/nothing is measured/);
    for (const wrong of [
      [...unlabelled, "--method", "finetune"],
      ["eval", model, "--data", pictures, "--preset", "cifar"],
    ]) {
      const { code, json } = await limber([...wrong, "--json"]);
      expect([code, json()]).toMatchObject([EXIT.failure, { error: { code: "data.invalid" } }]);
    }
  });

  it("follows a stream in which a domain comes back", async () => {
    const { json } = await limber([...base, "--method", "bn", "--stream", "clean:8,noisy,clean:8", "--continual"]);
    const domains = json().domains as { name: string; total: number }[];
    expect(domains.map(({ name, total }) => [name, total])).toEqual([
      ["clean", 8],
      ["noisy", 24],
      ["clean", 8],
    ]);
  });

  it("writes a model that keeps what the source says, tells its origin, and predicts what was measured", async () => {
    const output = join(folder, "adapted.onnx");
    const found = (
      await limber([...base, "--method", "bn", "--domains", "noisy", "--output", output, "--seed", "5"])
    ).json();
    expect(found.output).toBe(output);
    const [before, after] = [model, output].map((path) => readModel(readFileSync(path)));
    expect(after!.graph.inputs).toEqual(before!.graph.inputs);
    expect(after!.graph.outputs.map(({ name }) => name)).toEqual(["logits"]);
    expect(after).toMatchObject({ producerName: "limber", producerVersion: "0.1.0", docString: "a doc" });
    expect(Object.fromEntries(after!.metadata)).toMatchObject({
      author: "someone",
      "limber.command": "adapt",
      "limber.method": "bn",
      "limber.seed": "5",
      "limber.data": "arrays: noisy",
      "limber.parent": createHash("sha256").update(readFileSync(model)).digest("hex"),
      "limber.preprocessing": expect.stringContaining('"mean":[0.485,0.456,0.406]') as string,
    });
    const evaluated = await limber(["eval", output, "--data", arrays, "--domains", "noisy", "--json"]);
    expect(evaluated.json().accuracy).toBe(found.afterAccuracy);
    expect(evaluated.stderr).not.toContain("warning");
  });

  it("writes the same bytes for the same seed and date", async () => {
    const write = async (name: string): Promise<Buffer> => {
      const output = join(folder, name);
      await limber([...base, "--method", "tent", "--output", output], { env: { SOURCE_DATE_EPOCH: "1700000000" } });
      return readFileSync(output);
    };
    expect((await write("a.onnx")).equals(await write("b.onnx"))).toBe(true);
  });

  it("writes a run folder", async () => {
    const run = join(folder, "runs", "one");
    const { json } = await limber([...base, "--method", "bn", "--run-dir", run]);
    expect(JSON.parse(readFileSync(join(run, "result.json"), "utf8"))).toEqual(json());
    const [header, ...rows] = readFileSync(join(run, "results.csv"), "utf8").trimEnd().split("\n");
    expect(header).toMatch(/^name,total,onlineAccuracy,/);
    expect(rows).toHaveLength(2);
  });

  it("prints a table for a human", async () => {
    const { stdout } = await limber([
      "adapt",
      model,
      "--data",
      arrays,
      "--preset",
      "cifar",
      "--method",
      "bn",
      "--batch",
      "8",
    ]);
    expect(stdout).toMatch(/^domain +source +online +after +steps +time\nclean .* 3 .* s\nnoisy .*\nall .* 6 .*\n$/);
  });

  it("leaves the old file alone when it cannot write, and when it is stopped", async () => {
    const output = join(folder, "kept.onnx");
    writeFileSync(output, "old");
    const stopped = await limber([...base, "--method", "bn", "--output", output], { signal: AbortSignal.abort() });
    expect(stopped.code).toBe(EXIT.interrupted);
    expect(stopped.json()).toMatchObject({ error: { code: "aborted" } });
    expect(readFileSync(output, "utf8")).toBe("old");
    const nowhere = await limber([...base, "--method", "bn", "--output", join(folder, "no", "where.onnx")]);
    expect(nowhere.json()).toMatchObject({ error: { code: "io.not-found" } });
    expect(existsSync(join(folder, "no"))).toBe(false);
  });

  it.each([
    ["an unknown method", ["--method", "magic"], "method: one of source, bn, tent, shot-im"],
    ["an option of another method", ["--method", "tent", "--prior", "3"], "prior"],
    ["an option out of range", ["--method", "tent", "--lr", "0"], "learningRate"],
    ["a scope that is no node", ["--method", "finetune", "--labelled", "4", "--scope", "from=nowhere"], "nowhere"],
    ["more labels than images", ["--method", "finetune", "--labelled", "24"], "label fewer"],
    ["a stream that cannot be read", ["--method", "bn", "--stream", "clean:0"], "stream"],
  ])("refuses %s as a usage error", async (_, flags, message) => {
    const { code, json } = await limber([...base, ...flags]);
    expect(code).toBe(EXIT.usage);
    expect((json().error as { message: string }).message).toContain(message);
  });
});
