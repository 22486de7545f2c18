import { describe, expect, test } from "vitest";
import { Contestant, type Entry } from "./contestant.js";
import { fakePython } from "./fake-python.test-helper.js";
import type { Mode } from "./modes.js";
import type { Peer } from "./peer.js";

const network = { name: "resnet20", peer: "resnet20", batch: 32, imageSize: 32 };

function entryOf(mode: Mode, python: string | undefined, started: Peer[] = []): Entry {
  const ours = { trained: { "stem.0.weight": 4 }, fixed_norms: ["stem.1"] };
  return { network, mode, threads: 1, python, tune: "off", ours, onStart: (peer) => started.push(peer) };
}

const STEPS = `({ cmd, ...rest }) =>
  cmd === "prepare" ? ((way = rest.way), { parameters: 7, version: JSON.stringify(rest) }) :
  cmd === "step" ? { ms: Array(rest.count).fill(way === "split" ? 30 : 40) } : { peak_rss_mb: 12 }; let way`;

describe("a contestant", () => {
  test("is told what our side trains, and at which size", async () => {
    const contestant = await Contestant.enter("channels-last", entryOf("full", fakePython(STEPS)));
    const request = JSON.parse(contestant.answer.version!) as Record<string, unknown>;
    expect(request).toMatchObject({ network: "resnet20", batch: 32, imageSize: 32, threads: 1, channels_last: true });
    expect(request).toMatchObject({ trained: { "stem.0.weight": 4 }, fixed_norms: ["stem.1"] });
    await contestant.finish(contestant);
  });

  test("counts turns after warming up, of several steps where they are short", async () => {
    const contestant = await Contestant.enter("eager", entryOf("inference-1", fakePython(STEPS)));
    for (const counts of [false, false, true, true, true]) await contestant.turn(counts);
    expect(contestant.times).toEqual([40, 40, 40]);
    expect(await contestant.finish(contestant)).toEqual({
      ...{ stepMs: 40, prepareMs: null, peakMb: 12, ratio: 1, rounds: 3, note: "" },
    });
  });

  test("keeps the faster of two ways to train some of the filters, and ends the other", async () => {
    const started: Peer[] = [];
    const contestant = await Contestant.enter("eager", entryOf("filters", fakePython(STEPS), started));
    await contestant.turn(true);
    expect(started).toHaveLength(2);
    await expect(started[0]!.ask({ cmd: "memory" })).rejects.toMatchObject({ code: "run.failed" });
    expect(await contestant.finish(contestant)).toMatchObject({ note: "split", stepMs: 30, rounds: 1 });
  });

  test("compares round with round", async () => {
    const python = fakePython(`({ cmd }) => cmd === "step" ? { ms: [[10, 20, 30, 40].at(turn++)] } : {}; let turn = 0`);
    const contestant = await Contestant.enter("eager", entryOf("full", python));
    for (let round = 0; round < 4; round++) await contestant.turn(true);
    expect(await contestant.finish({ times: [10, 10, 10, 10] })).toMatchObject({ ratio: 2.5, stepMs: 25 });
  });

  test.each([
    ["there is no Python", undefined, "no Python with PyTorch"],
    ["Python does not start", "/nowhere/python", "ENOENT"],
    ["it answers with an error", fakePython(`() => ({ error: "cannot train: no kernel" })`), "cannot train: no kernel"],
    ["it answers with something else", fakePython(`() => "Traceback"`), `a line of JSON, got "Traceback"`],
    ["it dies", fakePython(`() => undefined`), "exit code 3"],
  ])("has a reason instead of a time when %s", async (_, python, reason) => {
    const contestant = await Contestant.enter("eager", entryOf("full", python));
    await contestant.turn(true);
    expect(contestant.runs).toBe(false);
    const timing = await contestant.finish(contestant);
    expect(timing).toMatchObject({ stepMs: null, ratio: null, peakMb: null, rounds: 0 });
    expect(timing.note).toContain(reason);
  });

  test("written in JavaScript takes part in full training and inference only", async () => {
    const contestant = await Contestant.enter("tfjs-cpu", entryOf("filters", undefined));
    expect((await contestant.finish(contestant)).note).toBe("not written for this mode");
  });
});
