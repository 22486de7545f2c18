import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildNetwork, crossEntropy, describeDecision, type Model, parametersOf, sgd } from "../../graph/index.js";
import { createMachine } from "../machine.js";
import { Trainer } from "../node-trainer.js";
import { fakeMachine } from "./fake-machine.test-helper.js";
import { tuneStep, type TuneOptions } from "./tune.js";

const model = buildNetwork("resnet8", { imageSize: 16, classes: 10, width: 0.25 });
const imageDims = [4, 3, 16, 16];
const PLAN = {
  statistics: { sourceWeight: 0, variance: "unbiased" },
  train: { loss: crossEntropy(), optimizer: sgd(), parameters: parametersOf(model).map(({ name }) => name) },
} as const;

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "limber-tune-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const optionsFor = (machine: TuneOptions["machine"]): TuneOptions => ({
  ...PLAN,
  machine,
  imageDims,
  threads: 1,
});
/** Time by a formulation's ops: those that the built-in rules never take at these shapes are the fast ones. */
const likesTransposed = ({ graph }: Model): number => (graph.nodes.some(({ op }) => op === "ConvTranspose") ? 1 : 2);

describe("tuneStep", () => {
  test("does nothing when off", async () => {
    const fake = fakeMachine(() => 1);
    const { decisions } = await tuneStep(model, { mode: "off", folder }, optionsFor(fake.machine));
    expect(decisions).toEqual({ total: 0, known: 0, measured: 0 });
    expect(fake.loaded).toEqual([]);
  });

  test("takes what was fastest, measures once, and knows it the next time", async () => {
    const fake = fakeMachine(likesTransposed);
    const first = await tuneStep(model, { mode: "full", folder }, optionsFor(fake.machine));
    expect(first.saved).toBe(true);
    expect(first.decisions.known).toBe(0);
    expect(first.decisions.measured).toBe(first.decisions.total);
    expect(first.changes.length).toBeGreaterThan(0);
    for (const { decision, to, fromMs, toMs } of first.changes) {
      expect(decision).toMatch(/^input float32 4x/);
      expect([to, fromMs, toMs]).toEqual(["transposed", 2, 1]);
    }
    const before = fake.loaded.length;
    const second = await tuneStep(model, { mode: "quick", folder }, optionsFor(fake.machine));
    expect(second.decisions).toEqual({ total: first.decisions.total, known: first.decisions.total, measured: 0 });
    expect(second.changes).toEqual(first.changes);
    expect(fake.loaded.length).toBe(before);
  });

  test("stays with the built-in rule for a gain that may be noise", async () => {
    const fake = fakeMachine((each) => (likesTransposed(each) === 1 ? 95 : 100));
    expect((await tuneStep(model, { mode: "full", folder }, optionsFor(fake.machine))).changes).toEqual([]);
  });

  test("measures again in full what was measured quickly, and less when quick", async () => {
    const fake = fakeMachine(likesTransposed);
    const quick = await tuneStep(model, { mode: "quick", folder }, optionsFor(fake.machine));
    expect(quick.decisions.measured).toBeGreaterThan(0);
    expect(quick.decisions.measured).toBeLessThan(quick.decisions.total);
    const full = await tuneStep(model, { mode: "full", folder }, optionsFor(fake.machine));
    expect(full.decisions.measured).toBe(full.decisions.total);
  });

  test("keeps what it measured when it is stopped", async () => {
    const controller = new AbortController();
    const fake = fakeMachine(likesTransposed);
    const onProgress = ({ done }: { done: number }): void => {
      if (done === 2) controller.abort();
    };
    const options = { ...optionsFor(fake.machine), signal: controller.signal, onProgress };
    await expect(tuneStep(model, { mode: "full", folder }, options)).rejects.toMatchObject({ code: "aborted" });
    expect(fake.open()).toBe(0);
    expect((await tuneStep(model, { mode: "full", folder }, optionsFor(fake.machine))).decisions.known).toBe(2);
  });

  test("chooses for a smaller batch what it measured for the whole one", async () => {
    const { choose, changes } = await tuneStep(
      model,
      { mode: "full", folder },
      optionsFor(fakeMachine(likesTransposed).machine),
    );
    const names = new Set<string>();
    const trained = Trainer.create(model, {
      ...PLAN,
      threads: 1,
      choose: (decision) => {
        const name = choose(decision);
        if (name !== undefined) names.add(describeDecision(decision));
        return name;
      },
    });
    await trained.warmUp([3, 3, 16, 16]);
    await trained[Symbol.asyncDispose]();
    expect(names).toEqual(new Set(changes.map(({ decision }) => decision.replace("float32 4x", "float32 3x"))));
  });

  test("a tuned step computes what the untuned one does", async () => {
    await using machine = createMachine();
    const { choose, changes } = await tuneStep(
      model,
      { mode: "full", folder },
      optionsFor(fakeMachine(likesTransposed).machine),
    );
    const images = {
      dtype: "float32",
      dims: imageDims,
      data: Float32Array.from({ length: 3072 }, (_, i) => Math.sin(i)),
    } as const;
    const targets = { dtype: "int64", dims: [4], data: BigInt64Array.of(1n, 3n, 5n, 7n) } as const;
    const losses: number[][] = [];
    for (const chosen of [undefined, choose]) {
      const trainer = Trainer.create(model, { ...PLAN, machine, threads: 1, choose: chosen });
      const run = async (): Promise<number> => (await trainer.step({ images, targets }, { learningRate: 0.05 })).loss!;
      losses.push([await run(), await run(), await run()]);
      await trainer[Symbol.asyncDispose]();
    }
    expect(changes.length).toBeGreaterThan(0);
    losses[0]!.forEach((loss, i) => expect(losses[1]![i]).toBeCloseTo(loss, 4));
    expect(losses[0]![2]).toBeLessThan(losses[0]![0]!);
  });

  test("measures on the machine that it is given", async () => {
    await using machine = createMachine();
    const { decisions, saved } = await tuneStep(model, { mode: "quick", folder }, optionsFor(machine));
    expect(decisions.measured).toBeGreaterThan(0);
    expect(saved).toBe(true);
  });
});
