import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { gatesOf, levelsOf, readModel } from "../../graph/index.js";
import { EXIT } from "../command.js";
import { limber, temporaryFolder, tinyModel, writeTinyArrays, writeTinyModel } from "../harness.test-helper.js";

const folder = temporaryFolder();
const model = writeTinyModel(folder);
const photos = writeTinyArrays(folder);
const master = join(folder, "master.onnx");
const small = ["--threads", "1", "--batch", "4"];

describe("limber master build", () => {
  it("puts open gates on a model without data", async () => {
    const output = join(folder, "untrained.onnx");
    const { code, json } = await limber(["master", "build", model, "--untrained", "--output", output, "--json"]);
    expect(code).toBe(EXIT.ok);
    expect(json()).toMatchObject({ gates: 3, meanAccuracy: null, curve: [], output });
    const written = readModel(readFileSync(output));
    expect(gatesOf(written).gates.length).toBe(3);
    expect(written.metadata.get("limber.command")).toBe("master build");
    expect(written.graph.initializers.get("stem.0.weight")).toEqual(
      tinyModel().graph.initializers.get("stem.0.weight"),
    );
  });

  it("trains in stages, keeps the best, and leaves no checkpoint behind", async () => {
    const { code, json, stderr } = await limber([
      ...["master", "build", model, "--data", photos, "--validation", photos, "--output", master, "--json", ...small],
      ...["--steps", "2", "--max-sparsity", "0.2,0.5", "--levels", "0,0.5", "--measure-every", "1"],
    ]);
    expect(code).toBe(EXIT.ok);
    const found = json() as { curve: { sparsity: number }[]; meanAccuracy: number; refused: number };
    expect(found.curve.map(({ sparsity }) => sparsity)).toEqual([0, 0.5]);
    expect(found.meanAccuracy).toBeGreaterThanOrEqual(0);
    expect(stderr.match(/^step [12]: 0: .* %, 0.5: .* %; mean /gm)?.length).toBe(2);
    expect(levelsOf(readModel(readFileSync(master)))).toEqual([0, 0.5]);
    expect(existsSync(`${master}.checkpoint`)).toBe(false);
  });

  it.each([
    [["master", "tear", "x.onnx", "--output", "y"], "master: build, got"],
    [["master", "build", model, "--output", "y"], "--data with labelled images, got none; give it, or --untrained"],
    [["master", "build", model, "--data", photos, "--output", "y"], "--validation with labelled images, got none"],
  ])("refuses %j", async (argv, message) => {
    const { code, stderr } = await limber(argv);
    expect(code).toBe(EXIT.usage);
    expect(stderr).toContain(message);
  });
});

describe("limber elastic", () => {
  it("takes a master through domains, and writes the last small model and the master", async () => {
    const [output, masterOutput] = [join(folder, "small.onnx"), join(folder, "fed.onnx")];
    const { code, json } = await limber([
      ...[
        "elastic",
        master,
        "--data",
        photos,
        "--sparsity",
        "0.5",
        "--stream",
        "clean,noisy,clean",
        "--json",
        ...small,
      ],
      ...["--output", output, "--master-output", masterOutput, "--run-dir", join(folder, "run")],
    ]);
    expect(code).toBe(EXIT.ok);
    const { domains, ...all } = json() as { domains: Record<string, number | string | null>[]; gates: number };
    expect(domains.map(({ name, overlap }) => [name, overlap === null])).toEqual([
      ["clean", true],
      ["noisy", false],
      ["clean", false],
    ]);
    for (const { difference, macs, sizeBytes } of domains) {
      expect(difference).toBeLessThan(1e-4);
      expect(Math.min(Number(macs), Number(sizeBytes))).toBeGreaterThan(1000);
    }
    expect(all).toMatchObject({ gates: 3, method: "tent", sparsity: 0.5 });
    expect(readFileSync(output).length).toBeLessThan(readFileSync(model).length);
    expect(gatesOf(readModel(readFileSync(output))).gates).toEqual([]);
    expect(gatesOf(readModel(readFileSync(masterOutput))).gates.length).toBe(3);
    expect(readFileSync(join(folder, "run", "results.csv"), "utf8").split("\n").length).toBeGreaterThan(3);
  });

  it("is named where a master is given to a command for plain models; eval takes it with all of its channels", async () => {
    const output = join(folder, "refused.onnx");
    const commands = [
      ["adapt", master, "--data", photos, "--method", "bn", ...small],
      ["train", master, "--data", photos, "--output", output, ...small],
      ["prune", master, "--keep", "0.5", "--by", "l1", "--output", output],
      ["master", "build", master, "--untrained", "--output", output],
    ];
    for (const argv of commands) {
      const { code, stderr } = await limber(argv);
      expect([argv[0], code]).toEqual([argv[0], EXIT.usage]);
      expect(stderr).toContain("model: one without gates, got a master with 3; limber elastic cuts");
    }
    expect(existsSync(output)).toBe(false);
    const measured = await limber(["eval", master, "--data", photos, "--json", "--threads", "1"]);
    expect([measured.code, measured.stderr]).toEqual([EXIT.ok, expect.stringContaining("a master: taken with all")]);
    const again = await limber(["eval", master, "--data", photos, "--json", "--threads", "1", "--batch", "5"]);
    expect(again.json()).toEqual(measured.json());
  });

  it("refuses a model that is no master, and a sparsity of 1", async () => {
    const plain = await limber(["elastic", model, "--data", photos, ...small]);
    expect(plain.stderr).toContain("master: a model with gates, got one without; limber master build makes one");
    const empty = await limber(["elastic", master, "--data", photos, "--sparsity", "1", ...small]);
    expect([empty.code, empty.stderr]).toEqual([
      EXIT.usage,
      expect.stringContaining("sparsity: a share in [0, 1), got 1"),
    ]);
  });
});
