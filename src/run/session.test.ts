import type { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { modelOf, node } from "../../test/helpers/graph.js";
import { writeModel } from "../graph/index.js";
import { createMachine } from "./machine.js";
import { END } from "./protocol.js";
import type { Machine, RunTensor, Session } from "./session.js";

const floats = (...values: number[]): RunTensor => ({
  dtype: "float32",
  dims: [values.length],
  data: Float32Array.from(values),
});

/** next = sum + x, and the same once more for the caller. */
const ADDER = writeModel(
  modelOf({
    inputs: { sum: [2], x: [2] },
    outputs: { next: [2], y: [2] },
    nodes: [node("Add", ["sum", "x"], ["next"]), node("Identity", ["next"], ["y"])],
  }),
);
const BINDING = { name: "total", input: "sum", output: "next" };

let machine: Machine;
let session: Session;
beforeEach(async () => {
  machine = createMachine();
  await machine.writeState([{ name: "total", value: floats(0, 10) }]);
  session = await machine.createSession(ADDER.slice(), { threads: 1 }, [BINDING]);
});
afterEach(() => machine[Symbol.asyncDispose]());

const total = async (): Promise<RunTensor | undefined> => (await machine.readState(["total"])).get("total");

describe("a session", () => {
  test("serves requests in the order in which they were made", async () => {
    const finished: number[] = [];
    const runs = [1, 2, 3, 4].map(async (x) => {
      const { outputs } = await session.run({ x: floats(x, 0) }, { fetches: ["y"] });
      finished.push(x);
      return outputs.y!.data[0];
    });
    const read = total();
    expect(await Promise.all(runs)).toEqual([1, 3, 6, 10]);
    expect(finished).toEqual([1, 2, 3, 4]);
    expect(await read).toEqual(floats(10, 10));
  });

  test("keeps the new state only when the outputs that have to be finite are", async () => {
    const options = { fetches: ["y"], finite: ["y"] };
    expect((await session.run({ x: floats(1, 1) }, options)).accepted).toBe(true);
    for (const bad of [NaN, Infinity]) {
      const { accepted, outputs } = await session.run({ x: floats(1, bad) }, options);
      expect(accepted).toBe(false);
      expect(outputs.y!.data[1]).toBe(bad);
      expect(await total()).toEqual(floats(1, 11));
    }
    expect((await session.run({ x: floats(1, 1) }, options)).outputs.y).toEqual(floats(2, 12));
  });

  test("shares the arrays of its machine with other sessions", async () => {
    const other = await machine.createSession(ADDER.slice(), { threads: 1 }, [BINDING]);
    await session.run({ x: floats(1, 0) }, { fetches: [] });
    await other.run({ x: floats(1, 0) }, { fetches: [] });
    expect(await total()).toEqual(floats(2, 10));
  });

  test.each([
    ["an output that the model does not have", { x: floats(1, 1) }, "z"],
    ["a missing input", {}, "y"],
    ["an input that the model does not have", { x: floats(1, 1), w: floats(1) }, "y"],
    ["another element type", { x: { dtype: "int64", dims: [2], data: BigInt64Array.of(1n, 1n) } }, "y"],
    ["another shape", { x: floats(1, 1, 1) }, "y"],
    ["data that does not fill the shape", { x: { ...floats(1), dims: [2] } }, "y"],
  ] as const)("refuses %s and goes on", async (_, feeds, output) => {
    const refused = session.run(feeds, { fetches: [output] });
    await expect(refused).rejects.toMatchObject({ name: "LimberError", code: "run.failed" });
    expect(await total()).toEqual(floats(0, 10));
    expect((await session.run({ x: floats(1, 0) }, { fetches: ["y"] })).outputs.y).toEqual(floats(1, 10));
  });

  test("refuses to run after it was disposed; disposing twice does nothing", async () => {
    await session.dispose();
    await session.dispose();
    await expect(session.run({ x: floats(1, 1) }, { fetches: ["y"] })).rejects.toMatchObject({ code: "run.failed" });
    expect(await total()).toEqual(floats(0, 10));
  });
});

describe("a machine", () => {
  test("says that it cannot load bytes that are no model", async () => {
    const refused = machine.createSession(Uint8Array.of(1, 2, 3));
    await expect(refused).rejects.toMatchObject({ code: "run.failed", context: { request: "create" } });
  });

  test("names a state array that was never written", async () => {
    const unknown = { code: "config.invalid", context: { name: "none" } };
    await expect(machine.readState(["none"])).rejects.toMatchObject(unknown);
    const bound = machine.createSession(ADDER.slice(), {}, [{ ...BINDING, name: "none" }]);
    await expect(bound).rejects.toMatchObject(unknown);
  });

  test.each([
    ["shorter", floats(7)],
    ["longer", floats(7, 7, 7)],
    ["of another type", { dtype: "float64", dims: [2], data: Float64Array.of(7, 7) } as const],
  ])("writes no array when one is %s than the one it replaces", async (_, value) => {
    const arrays = [
      { name: "total", value: floats(5, 5) },
      { name: "total", value },
    ];
    await expect(machine.writeState(arrays)).rejects.toMatchObject({ code: "shape.mismatch" });
    expect(await total()).toEqual(floats(0, 10));
  });

  test("copies what it is given and what it gives", async () => {
    const value = floats(1, 2);
    await machine.writeState([{ name: "total", value }]);
    value.data[0] = 99;
    (await total())!.data[1] = 99;
    expect(await total()).toEqual(floats(1, 2));
  });

  test("rejects what is under way and what comes later when it is disposed", async () => {
    const pending = session.run({ x: floats(1, 1) }, { fetches: ["y"] });
    const rejected = expect(pending).rejects.toMatchObject({ code: "run.failed" });
    await machine[Symbol.asyncDispose]();
    await rejected;
    await expect(machine.memory()).rejects.toMatchObject({ code: "run.failed" });
    await expect(session.run({ x: floats(1, 1) }, { fetches: ["y"] })).rejects.toMatchObject({ code: "run.failed" });
    await machine[Symbol.asyncDispose]();
  });

  test.each([
    ["ends", (worker: Worker) => worker.postMessage(END)],
    ["throws", (worker: Worker) => worker.postMessage(null)],
  ])("rejects what is under way when its worker %s", async (_, crash) => {
    const worker = Reflect.get(machine, "worker") as Worker;
    crash(worker);
    const pending = Array.from({ length: 3 }, () => session.run({ x: floats(1, 1) }, { fetches: ["y"] }));
    const rejected = { status: "rejected", reason: { name: "LimberError", code: "run.failed" } };
    expect(await Promise.allSettled(pending)).toMatchObject([rejected, rejected, rejected]);
    await expect(machine.memory()).rejects.toMatchObject({ code: "run.failed" });
  });
});
