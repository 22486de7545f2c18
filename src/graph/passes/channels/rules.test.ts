import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { caseArbitrary, type OpCase, opCases } from "../../../../test/helpers/op-cases/index.js";
import { modelOf } from "../../../../test/helpers/op-cases/model.js";
import { isFloat, type NumericArray, Random, sizeOf } from "../../../base/index.js";
import type { Model } from "../../ir/index.js";
import { channelTable, OP_TYPES, type OpType, type ReferenceTensor } from "../../ops/index.js";
import { evaluate } from "../../reference/index.js";
import { findUnits } from "./closure.js";
import { cutModel } from "./prune.js";
import { type ChannelTrace, traceChannels } from "./trace.js";

/** Zeros at every removed position of the float inputs. */
function silence({ graph, ...rest }: Model, { labels, weights }: ChannelTrace, removed: ReadonlySet<number>): Model {
  const initializers = new Map(graph.initializers);
  for (const { name, axis, labels: positions } of weights) {
    const tensor = initializers.get(name)!;
    if (!isFloat(tensor.dtype)) continue;
    const inner = sizeOf(tensor.dims.slice(axis + 1));
    const data = (tensor.data as NumericArray).slice();
    for (let i = 0; i < data.length; i++)
      if (removed.has(labels.find(positions[Math.floor(i / inner) % positions.length]!))) data[i] = 0;
    initializers.set(name, { ...tensor, data });
  }
  return { ...rest, graph: { ...graph, initializers } };
}

/** Elements of a tensor at positions that stay along every axis. */
function pick({ dims, data }: ReferenceTensor, kept: readonly (readonly number[])[]): number[] {
  const offsets = kept.reduce<number[]>(
    (starts, positions, axis) => starts.flatMap((start) => positions.map((position) => start * dims[axis]! + position)),
    [0],
  );
  return offsets.map((offset) => data[offset]!);
}

/** Cuts a call of an op whose inputs are all weights; how many labels went. Fails where the cut call differs from the whole one. */
function checkCut(op: OpType, opCase: OpCase, seed: number): number {
  const { model: bare, feeds } = modelOf(op, opCase);
  const model: Model = { ...bare, graph: { ...bare.graph, inputs: [], initializers: feeds } };
  const trace = traceChannels(model, {});
  const { labels } = trace;
  const random = new Random(seed);
  const removed = new Set<number>();
  const isRemoved = (label: number): boolean => removed.has(labels.find(label));
  for (const unit of findUnits(trace)) {
    if (unit.reason !== undefined || random.next() < 0.5) continue;
    const before = [...removed];
    for (const label of unit.labels) removed.add(label);
    const emptied = [...trace.axes.values()].flat().some((axis) => axis.length > 0 && axis.every(isRemoved));
    if (!emptied) continue;
    removed.clear();
    for (const label of before) removed.add(label);
  }
  const outputs = model.graph.nodes[0]!.outputs;
  const whole = evaluate(silence(model, trace, removed), {}, { outputs });
  const cut = evaluate(cutModel(model, trace, removed), {}, { outputs });
  for (const name of outputs) {
    // How many there are shows only when it runs.
    if (trace.axes.get(name)!.some(({ length }) => length === 0)) continue;
    const kept = trace.axes.get(name)!.map((axis) => [...axis.keys()].filter((i) => !isRemoved(axis[i]!)));
    expect(cut.get(name)!.dims).toEqual(kept.map(({ length }) => length));
    const [expected, got] = [pick(whole.get(name)!, kept), cut.get(name)!.data];
    expected.forEach((value, i) => {
      const close = Object.is(value, got[i]) || Math.abs(value - got[i]!) <= 1e-9 * (1 + Math.abs(value));
      if (!close) expect.fail(`${op} ${name} element ${i}: ${value} of the whole call, got ${got[i]}`);
    });
  }
  return removed.size;
}

/** Ops that never let anything go when all they see are weights. */
const KEEP_ALL: ReadonlySet<OpType> = new Set<OpType>(["Constant", "ConstantOfShape", "Range", "Shape", "Size"]);

describe("a call without the removed positions computes what the whole call computes at the others", () => {
  test.each(OP_TYPES)("%s", (op) => {
    let cut = 0;
    fc.assert(
      fc.property(caseArbitrary(opCases[op]), fc.nat(), (opCase, seed) => {
        cut += checkCut(op, opCase, seed);
      }),
      { seed: 5, numRuns: 12 },
    );
    expect(cut > 0).toBe(channelTable[op] !== "opaque" && !KEEP_ALL.has(op));
  });
});
