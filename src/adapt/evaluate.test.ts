import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { damaged, squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { createMachine, type Machine, Predictor } from "../run/node.js";
import { evaluate } from "./evaluate.js";

let machine: Machine;
let predictor: Predictor;
beforeAll(async () => {
  machine = createMachine();
  predictor = await Predictor.create(machine, tinyNetwork(), { threads: 1 });
});
afterAll(() => machine[Symbol.asyncDispose]());

const options = { batchSize: 4, preprocessing: TINY_PREPROCESSING };
const domain = squares("d", 10);

describe("evaluate", () => {
  test("counts the same in batches of any size, and over parts", async () => {
    const whole = await evaluate(predictor, domain, options);
    expect(whole).toMatchObject({ total: 10, skipped: 0 });
    expect(await evaluate(predictor, domain, { ...options, batchSize: 10 })).toEqual(whole);
    const even = await evaluate(predictor, domain, { ...options, indices: [0, 2, 4, 6, 8] });
    const odd = await evaluate(predictor, domain, { ...options, indices: [9, 7, 5, 3, 1] });
    expect(even.correct + odd.correct).toBe(whole.correct);
  });

  test("leaves out what cannot be read, counts it and tells each once", async () => {
    const told: string[] = [];
    const progress: number[] = [];
    const tally = await evaluate(predictor, damaged(domain, { 3: "nan", 9: "unreadable" }), {
      ...options,
      onSkipped: ({ path, reason }) => told.push(`${path}: ${reason}`),
      onProgress: ({ done, total }) => progress.push(done / total),
    });
    expect(tally).toMatchObject({ total: 8, skipped: 2 });
    expect(told).toEqual([expect.stringMatching(/^d\.npy\[3\]: /), "d.npy[9]: cut off"]);
    expect(progress.at(-1)).toBe(1);
  });

  test("finds nothing in a domain of which nothing can be read", async () => {
    const broken = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [i, "unreadable" as const]));
    expect(await evaluate(predictor, damaged(domain, broken), options)).toEqual({ total: 0, correct: 0, skipped: 10 });
  });

  test("stops when asked to", async () => {
    const stopped = evaluate(predictor, domain, { ...options, signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
  });
});
