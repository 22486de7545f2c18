import { type EventEmitter, once } from "node:events";
import type * as Threads from "node:worker_threads";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { modelOf, node } from "../../test/helpers/graph.js";
import { scalar } from "../base/index.js";
import { writeModel } from "../graph/index.js";
import type { Answers, Reply, Request } from "./protocol.js";

/** Stands for the port of a worker, so that its code runs in this thread, where memory can be measured after each step. */
const port = vi.hoisted(() => ({ current: undefined as undefined | EventEmitter }));
vi.mock("node:worker_threads", async (importOriginal) => {
  const { EventEmitter } = await import("node:events");
  const [{ writeModel }, { NEGATE }] = await Promise.all([import("../graph/index.js"), import("./probe.js")]);
  port.current = Object.assign(new EventEmitter(), {
    postMessage: (reply: Reply) => port.current!.emit("reply", reply),
  });
  return {
    ...(await importOriginal<typeof Threads>()),
    parentPort: port.current,
    workerData: { provider: "cpu", givesWay: false, probe: writeModel(NEGATE) },
  };
});

async function ask<K extends keyof Answers>(request: Request & { kind: K }): Promise<Answers[K]> {
  const replied = once(port.current!, "reply");
  port.current!.emit("message", { id: 1, request });
  const [reply] = (await replied) as [Reply];
  if ("error" in reply) throw new Error(reply.error.message);
  return reply.answer as Answers[K];
}

/** Weights of 8 MiB that every step changes. */
const SIDE = 1448;
const SIZE_BYTES = 4 * SIDE * SIDE;
const model = writeModel(
  modelOf({
    inputs: { w: [SIDE, SIDE], x: [] },
    outputs: { next: [SIDE, SIDE], y: [] },
    initializers: { zero: scalar("float32", 0) },
    nodes: [node("Add", ["w", "x"], ["next"]), node("Add", ["x", "zero"], ["y"])],
  }),
);

beforeAll(async () => {
  await import("./worker.js");
  const value = { dtype: "float32", dims: [SIDE, SIDE], data: new Float32Array(SIDE * SIDE) } as const;
  await ask({ kind: "write", arrays: [{ name: "w", value }] });
  const bindings = [{ name: "w", input: "w", output: "next" }];
  await ask({ kind: "create", session: 1, options: { threads: 1 }, phases: [{ model, bindings }] });
});
afterAll(() => ask({ kind: "release", session: 1 }));

/** Bytes of array memory that each of some steps left behind, whatever was collected in between. */
async function leftPerStep(steps: number, fetches: readonly string[]): Promise<number> {
  const x = { dtype: "float32", dims: [], data: Float32Array.of(1) } as const;
  let left = 0;
  for (let i = 0; i < steps; i++) {
    const before = process.memoryUsage().arrayBuffers;
    await ask({ kind: "run", session: 1, feeds: { x }, options: { fetches, finite: ["y"] } });
    left += Math.max(0, process.memoryUsage().arrayBuffers - before);
  }
  return left / steps;
}

test("steps write new weights into the second buffer and leave no garbage that grows with them", async () => {
  expect(await leftPerStep(200, ["y"])).toBeLessThan(SIZE_BYTES / 100);
  const w = (await ask({ kind: "read", names: ["w"] })).get("w")!;
  expect(w.data.every((value) => value === 200)).toBe(true);
});

test("a copy of the weights would be seen by that measure", async () => {
  const before = process.memoryUsage().arrayBuffers;
  const copy = await ask({ kind: "read", names: ["w"] });
  expect(process.memoryUsage().arrayBuffers - before).toBeGreaterThan(SIZE_BYTES / 2);
  expect(copy.size).toBe(1);
});
