import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { writeModel } from "../graph/index.js";
import { createMachine } from "./machine.js";
import { NEGATE } from "./probe.js";

/** What a thread of this process gives way by: 0 by itself, 19 at most. */
const nicenessOf = (thread: string): number =>
  Number(readFileSync(`/proc/self/task/${thread}/stat`, "utf8").split(") ")[1]!.split(" ")[16]);
const threads = (): string[] => readdirSync("/proc/self/task");

describe.runIf(process.platform === "linux")("priority of a machine, on Linux", () => {
  it.each([
    ["background", 19],
    ["normal", nicenessOf(String(process.pid))],
  ] as const)("%s: its threads are at niceness %i, and all others as before", async (priority, niceness) => {
    const others = threads().map((thread) => [thread, nicenessOf(thread)] as const);
    await using machine = createMachine({ priority });
    const session = await machine.createSession(writeModel(NEGATE), { threads: 2 });
    const x = { dtype: "float32", dims: [2], data: Float32Array.of(1, -2) } as const;
    expect((await session.run({ x }, { fetches: ["y"] })).outputs.y!.data).toEqual(Float32Array.of(-1, 2));
    const known = new Set(others.map(([thread]) => thread));
    const own = threads().filter((thread) => !known.has(thread));
    // that of the worker, and the second one of its session
    expect(own.filter((thread) => nicenessOf(thread) === niceness).length).toBeGreaterThanOrEqual(2);
    for (const [thread, before] of others.filter(([each]) => threads().includes(each)))
      expect(nicenessOf(thread)).toBe(before);
  });
});
