import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
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

/** In a process of its own, since what it looks for would end this one: sessions are being made and run while their machine is disposed of. */
const BUSY = `
  import { readFileSync } from "node:fs";
  import { createMachine } from "${new URL("../../dist/run/node.js", import.meta.url).href}";
  const bytes = readFileSync(new URL("${new URL("../../models/line/resnet-segmentation.onnx", import.meta.url).href}"));
  const input = { dtype: "float32", dims: [8, 3, 32, 32], data: new Float32Array(8 * 3 * 32 * 32) };
  const codes = new Set();
  for (let i = 0; i < 12; i++) {
    const machine = createMachine();
    const rejected = ({ code }) => codes.add(code);
    const create = () => machine.createSession(Uint8Array.from(bytes), { threads: 1 });
    const session = await create();
    session.run({ input }, { fetches: ["logits"] }).catch(rejected);
    for (let k = 0; k < 4; k++) create().catch(rejected);
    await new Promise((resolve) => setTimeout(resolve, 4 * i));
    await machine[Symbol.asyncDispose]();
  }
  console.log(...codes);
`;

it("is disposed of while models are made and run: calls are rejected, and the process lives", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", BUSY]);
  expect(stdout.trim()).toBe("run.failed");
});
