import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { squares, TINY_PREPROCESSING, tinyNetwork } from "../../test/helpers/tiny.js";
import { train } from "../adapt/index.js";
import { buildTaskNetwork, detachPatches, findPatches, type Model, prepareModel, writeModel } from "../graph/index.js";
import { createMachine } from "../run/node.js";
import type { Batch } from "../vision/index.js";
import { fineTune } from "./fine-tune.js";
import { Ledger } from "./ledger.js";
import { PatchLibrary } from "./library.js";
import { type Drift, type LineOptions, type Patched, patchLine } from "./line.js";
import { createMember, formFor, headParameters, type Member } from "./member.js";

const machine = createMachine();
afterAll(() => machine[Symbol.asyncDispose]());

const dark = squares("dark", 96, { seed: 3, level: (x) => 230 - x * 0.8 });
const indices = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const drift: Drift = { domain: dark, pool: indices(0, 48), held: indices(48, 96) };
const OPTIONS = {
  ...{ machine, threads: 1, batchSize: 8, seed: 5, learningRate: 2e-2, heads: "all", headScale: 1, compared: 16 },
  patch: { form: "residual" },
  budget: { base: 8 },
  stop: { leastGain: 0, patience: 20 },
} as const satisfies LineOptions;

let trained: Model;
let members: readonly Member[];
beforeAll(async () => {
  const options = { preprocessing: TINY_PREPROCESSING, epochs: 6, batchSize: 16, threads: 1, seed: 2 };
  ({ model: trained } = await train(tinyNetwork(), squares("clear", 96, { seed: 4 }), options));
  members = ["left", "right"].map((name) =>
    createMember(trained, { name, preprocessing: TINY_PREPROCESSING, before: 0.9 }),
  );
});

async function run(options: Partial<LineOptions> = {}, who = members): Promise<Patched[]> {
  const found: Patched[] = [];
  for await (const patched of patchLine(who, drift, { ...OPTIONS, ...options })) found.push(patched);
  return found;
}

describe("a line of models", () => {
  let line: Patched[];
  const ledger = new Ledger();
  beforeAll(async () => {
    line = await run({ ledger, count: 3 });
  });

  test("is patched in the order of likeness, each model once, and follows the drift", () => {
    expect(line.map(({ member }) => member.name).sort()).toEqual(["left", "right"]);
    expect(line[0]!.turn.parent).toBeUndefined();
    expect(line[1]!.turn).toMatchObject({ parentName: line[0]!.member.name });
    expect(line[1]!.turn.similarity).toBeCloseTo(1, 5); // equal models
    for (const { score, servingScore, accepted } of line) {
      expect(accepted).toBe(true);
      expect(score).toBeGreaterThan(servingScore + 0.2);
    }
  });

  test("starts the second model at the patch of the first, no worse than at nothing, and gives it fewer epochs", () => {
    const [first, second] = line as [Patched, Patched];
    expect(first.start).toMatchObject({ source: "zero" });
    expect(second.start).toMatchObject({ source: "parent", from: first.member.name });
    expect(second.start.loss).toBeLessThan(second.start.tried[0]!.loss!);
    expect([first.epochs, second.epochs]).toEqual([8, 4]); // ⌈8 · (1 − 0.6)⌉
  });

  test("puts patches behind the groups, and trains no weight of the backbone", () => {
    const { initializers } = prepareModel(trained).graph;
    for (const { member, planned } of line) {
      expect(planned).toEqual([1, 2, 3]);
      expect(findPatches(member.serving).map(({ group }) => group)).toEqual([1, 2, 3]);
      for (const name of ["stem.0.weight", "stages.0.0.conv1.weight", "stages.2.0.conv2.weight"])
        expect(member.serving.graph.initializers.get(name)!.data).toEqual(initializers.get(name)!.data);
    }
  });

  test("lets the deepest patch train alone in the end, where it is to: gradients end there", async () => {
    const books = new Ledger();
    const [{ courses, member }] = (await run({ count: 3, rests: 0.25, ledger: books }, [members[0]!])) as [Patched];
    const [all, alone] = courses[0]!.stretches;
    expect([alone!.trained, all!.trained]).toEqual([2 * 24, 6 * 24]); // of 8 epochs
    expect(alone!.parameters.every((name) => all!.parameters.includes(name))).toBe(true);
    const groupsOf = (names: readonly string[]): number[] =>
      findPatches(member.serving).flatMap(({ group, parameters }) =>
        parameters.some((name) => names.includes(name)) ? [group] : [],
      );
    expect([groupsOf(alone!.parameters), groupsOf(all!.parameters)]).toEqual([[3], [1, 2, 3]]);
    const whole = new Ledger();
    await run({ count: 3, ledger: whole }, [members[0]!]);
    const gradients = (ledger: Ledger) => ledger.total({ technique: "activationGradient" }).macs;
    expect(gradients(books)).toBeLessThan(0.85 * gradients(whole));
  });

  test("takes low-rank changes where nothing else is asked for, and a branch too where pixels are answered", async () => {
    const [{ member }] = (await run({ patch: undefined, count: 1 }, [members[0]!])) as [Patched];
    expect(findPatches(member.serving).map(({ shape }) => shape)).toEqual([{ form: "low-rank", rank: 4 }]);
    const segmenter = buildTaskNetwork({
      backbone: "resnet",
      task: "segmentation",
      imageSize: 32,
      classes: 3,
      width: 0.25,
    });
    expect(formFor(segmenter)).toBe("joint");
  });

  test("keeps the last epoch where the held samples tell nothing", async () => {
    const [{ courses }] = (await run({ keeps: "last", targetShare: 0 }, [members[0]!])) as [Patched];
    const [{ best, scores, reason }] = courses as [Patched["courses"][number]];
    expect([best, reason]).toEqual([scores.length - 1, "epochs"]);
  });

  test("chooses half of the samples, and books what everything took", () => {
    for (const { selection, courses, member } of line) {
      expect(selection!.kept).toHaveLength(24);
      const { forward, weightGradient, statistics } = ledger.byTechnique(member.name);
      expect(forward.count).toBe(courses.reduce((sum, { trained }) => sum + trained, 0));
      expect(statistics.count).toBe(48);
      expect(weightGradient.macs).toBeGreaterThan(0);
      expect(weightGradient.macs).toBeLessThan(forward.macs);
    }
    expect(ledger.total({ model: "line", technique: "correlation" }).macs).toBeGreaterThan(0);
  });

  test("comes out the same for the same seed", async () => {
    const again = await run({ count: 3 });
    const bytes = (patched: readonly Patched[]) => patched.map(({ member }) => writeModel(member.serving));
    expect(bytes(again)).toEqual(bytes(line));
  });

  test("goes on from a model's own patch at the next drift, and takes it off whole", async () => {
    const [next] = await run({ count: 3, starts: ["own"] }, [line[0]!.member]);
    expect(next!.start.source).toBe("own");
    const { serving } = (await run({ heads: "none", biases: false, refreshes: false }))[0]!.member;
    expect(writeModel(detachPatches(serving))).toEqual(writeModel(prepareModel(trained)));
  });

  test("serves new statistics alone where a start that was learnt before led to less", async () => {
    const options = { count: 3, starts: ["own"] } as const;
    const ledger = new Ledger();
    const [next] = (await run({ ...options, ledger }, [line[0]!.member])) as [Patched];
    expect(next.groups).toEqual([1, 2, 3]); // it led to more
    const [{ scores }] = next.courses as [Patched["courses"][number]];
    expect(ledger.total({ technique: "evaluation" }).count).toBe(48 * (scores.length + 1)); // which was looked at
    const [strict] = (await run({ ...options, tolerance: -1 }, [line[0]!.member])) as [Patched]; // asks for a point more than there is
    expect(strict.groups).toEqual([]);
    const plain = await run({ ...options, starts: [], targetShare: 0 }, [line[0]!.member]);
    expect(Math.abs(strict.score - plain[0]!.score)).toBeLessThan(0.1); // by batches of 8, and by all
  });

  test("remembers the patch of a domain: where that comes again it serves as it did, without training", async () => {
    const library = new PatchLibrary();
    const [first] = await run({ count: 3, library, starts: ["library"] }, [members[0]!]);
    expect(library.entries.map(({ domain, score }) => [domain, score])).toEqual([["dark", first!.score]]);
    const books = new Ledger();
    const options = { count: 3, library, starts: ["library"], ledger: books, targetShare: 2 } as const;
    const [again] = await run(options, [members[0]!]);
    expect(again!.start).toMatchObject({ source: "library", from: "dark" });
    expect([again!.courses[0]!.steps, again!.score]).toEqual([0, first!.score]);
    expect([books.total({ technique: "statistics" }).macs, books.total({ technique: "forward" }).macs]).toEqual([0, 0]);
    expect(writeModel(again!.member.serving)).toEqual(writeModel(first!.member.serving));
  });

  test("forgets a patch that cannot be read, and starts at nothing", async () => {
    const library = new PatchLibrary();
    await run({ library }, [members[0]!]);
    library.add({ ...library.entries[0]!, patch: Uint8Array.of(1) });
    const [found] = await run({ library, starts: ["library"], tolerance: -1 }, [members[0]!]);
    expect([found!.start.source, library.entries]).toEqual(["zero", []]);
  });

  test("attaches no patch where new statistics alone reach the target", async () => {
    const [patched] = await run({ targetShare: 0 }, [members[0]!]);
    expect([patched!.groups, patched!.courses[0]!.steps]).toEqual([[], 0]);
    expect(findPatches(patched!.member.serving)).toEqual([]);
  });

  test("adds a patch where training rests below the target, and none when it may not", async () => {
    const stop = { leastGain: 2, patience: 1 }; // every epoch rests
    const [grown] = await run({ count: 1, stop }, [{ ...members[0]!, before: 2 }]);
    expect([grown!.planned, grown!.groups, grown!.courses.length]).toEqual([[3], [1, 2, 3], 3]);
    const [kept] = await run({ count: 1, stop, grows: false }, [{ ...members[0]!, before: 2 }]);
    expect([kept!.groups, kept!.courses.length]).toEqual([[3], 1]);
  });

  test("keeps what served where patching made it worse", async () => {
    const [refused] = await run({ tolerance: -1 });
    expect(refused!.accepted).toBe(false);
    expect(refused!.member.serving).toBe(members[refused!.turn.model]!.serving);
  });

  test("stops when asked", async () => {
    await expect(run({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("fineTune", () => {
  const tune = (extra = {}) => {
    const member = members[0]!;
    return fineTune(member.source, dark, {
      ...{
        machine,
        threads: 1,
        head: member.head,
        preprocessing: TINY_PREPROCESSING,
        batchSize: 8,
        epochs: 3,
        seed: 1,
      },
      ...{ parameters: headParameters(member, "all"), learningRate: 0.05, indices: drift.pool, held: drift.held },
      ...extra,
    });
  };

  test("tells the score before and after each epoch, and keeps the best model, not the last", async () => {
    const { scores, best, losses, steps, trained, measured, reason } = await tune();
    expect([scores.length, losses.length, steps, trained, measured]).toEqual([4, 3, 18, 144, 4 * 48]);
    expect(Math.max(...scores.map(({ value }) => value))).toBe(scores[best]!.value);
    expect(reason).toBe("epochs");
  });

  test("computes what does not train once per sample", async () => {
    const { stretches } = await tune();
    expect(stretches.map(({ cached, trained }) => [cached, trained])).toEqual([[2 * 48, 3 * 48]]);
  });

  test("ends at its target before the first step", async () => {
    const { steps, reason, model } = await tune({ stop: { leastGain: 0, patience: 9, target: 0 } });
    expect([steps, reason, model]).toEqual([0, "target", members[0]!.source]);
  });

  test("trains on what a teacher says where it is told to", async () => {
    const always = (batch: Batch) => ({
      ...{ dtype: "int64", dims: [batch.labels.length] },
      data: new BigInt64Array(batch.labels.length),
    });
    const { scores } = await tune({ targetsOf: always, epochs: 6 });
    expect(scores.at(-1)!.value).toBeLessThan(0.5); // of four classes, one is left
  });

  test("refuses to train on nothing, or to measure on nothing", async () => {
    await expect(tune({ indices: [] })).rejects.toMatchObject({ code: "config.invalid" });
    await expect(tune({ held: [] })).rejects.toMatchObject({ code: "config.invalid" });
  });
});
