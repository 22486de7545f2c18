import { describe, expect, test } from "vitest";
import { type Decision, decisionOf, type Model } from "../../graph/index.js";
import { fakeMachine } from "./fake-machine.test-helper.js";
import { timeCandidates } from "./measure.js";

const layer = {
  geometry: { kernel: [1, 1], strides: [1, 1], dilations: [1, 1], padsBegin: [0, 0], padsEnd: [0, 0], output: [4, 4] },
  group: 1,
  isConstant: false,
  X: { name: "x", dtype: "float32", dims: [2, 3, 4, 4] },
  W: { name: "w", dtype: "float32", dims: [5, 3, 1, 1] },
} as const;
/** Candidates: transposed, flipped, product, folded. */
const decision: Decision = decisionOf("input", layer);
const OPTIONS = { rounds: 5, session: {}, lower: (model: Model) => Promise.resolve(model) };

describe("timeCandidates", () => {
  test("gives the fastest run of each candidate", async () => {
    const times = [100, 6, 9, 4, 5, 4];
    const { machine } = fakeMachine((_, run) => times[run]!);
    const found = await timeCandidates(machine, decision, OPTIONS);
    expect(found).toEqual(new Map(decision.candidates.map((name) => [name, 4])));
  });

  test("lets all candidates take turns, and stops running one that has no chance", async () => {
    const fake = fakeMachine((model) => (model.graph.nodes.some(({ op }) => op === "ConvTranspose") ? 18 : 10));
    await timeCandidates(fake.machine, decision, OPTIONS);
    const rounds = [0, 1, 2].map(() => [0, 1, 2, 3]);
    expect(fake.runs).toEqual([...rounds.flat(), ...[1, 2, 3], ...[1, 2, 3]]);
  });

  test("is done when one candidate is left", async () => {
    const fake = fakeMachine((model) => (model.graph.nodes.some(({ op }) => op === "ConvTranspose") ? 1 : 10));
    const found = await timeCandidates(fake.machine, decision, { ...OPTIONS, rounds: 100 });
    expect(fake.runs).toEqual([0, 1, 2, 3]);
    expect(found.get("transposed")).toBe(1);
  });

  test("gives a slow first run a second chance", async () => {
    const fake = fakeMachine((model, run) => {
      const isFirst = model.graph.nodes.some(({ op }) => op === "ConvTranspose");
      return isFirst && run > 0 ? 5 : isFirst ? 30 : 10;
    });
    expect((await timeCandidates(fake.machine, decision, OPTIONS)).get("transposed")).toBe(5);
  });

  test("leaves out a candidate that the runtime refuses", async () => {
    const { machine } = fakeMachine((model) => (model.graph.nodes.some(({ op }) => op === "Conv") ? undefined : 1));
    const found = await timeCandidates(machine, decision, OPTIONS);
    expect([...found.keys()]).toEqual(["transposed", "product", "folded"]);
  });

  test("feeds what the gradient reads, and fetches one number", async () => {
    const { machine, loaded } = fakeMachine(() => 1);
    await timeCandidates(machine, decision, OPTIONS);
    for (const { graph } of loaded) {
      expect(graph.inputs.map(({ name }) => name)).toEqual(["W", "dY"]);
      expect(graph.outputs.map(({ dims }) => dims)).toEqual([[1]]);
    }
  });

  test("frees every session, also when stopped on the way", async () => {
    const signal = { aborted: false };
    const fake = fakeMachine((_, run) => {
      signal.aborted = run === 1;
      return 1;
    });
    await expect(timeCandidates(fake.machine, decision, { ...OPTIONS, signal })).rejects.toMatchObject({
      code: "aborted",
    });
    expect(fake.loaded.length).toBe(4);
    expect(fake.open()).toBe(0);
  });
});
