import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { maxDifference } from "../../test/helpers/parity.js";
import { Random, sizeOf } from "../base/index.js";
import { blockChannels, BLOCKED_DOMAIN, inferShapes, type Model, parseModel, writeModel } from "../graph/index.js";
import { findBlockSize } from "./blocks.js";
import { createMachine } from "./machine.js";
import type { Machine, RunTensor } from "./session.js";

let machine: Machine;
let block: number | undefined;
beforeAll(async () => {
  machine = createMachine();
  block = await findBlockSize(machine);
});
afterAll(() => machine[Symbol.asyncDispose]());

/** Nodes that read %a, 32 channels which a convolution gives in blocks. */
interface Case {
  readonly inputs?: string;
  readonly nodes: string;
  readonly outputs: string;
  /** Moves between the two forms at most, besides one for each kernel: %x comes in, and what is read in plain form goes out. */
  readonly moves: number;
}

const CASES: Readonly<Record<string, Case>> = {
  "one convolution": { nodes: "", outputs: "%a: float32[2,32,8,8]", moves: 2 },
  "channels that leave a block half empty": {
    inputs: "input %u: float32[24,32,1,1]\ninput %v: float32[32,24,3,3]",
    nodes: `
      %n: float32[2,24,8,8] = Conv(%a, %u) "narrow"
      %y: float32[2,32,8,8] = Conv(%n, %v) { pads = [1, 1, 1, 1] } "next"`,
    outputs: "%y: float32[2,32,8,8]",
    moves: 2,
  },
  "an activation that only follows a convolution": {
    nodes: `%y: float32[2,32,8,8] = Relu(%a) "relu"`,
    outputs: "%y: float32[2,32,8,8]",
    moves: 2,
  },
  "an activation beside another reader": {
    nodes: `
      %r: float32[2,32,8,8] = Relu(%a) "relu"
      %y: float32[2,32,8,8] = Mul(%r, %a) "mul"`,
    outputs: "%y: float32[2,32,8,8]",
    moves: 2,
  },
  "a sum behind a convolution": {
    nodes: `
      %b: float32[2,32,8,8] = Conv(%a, %w2) { pads = [1, 1, 1, 1] } "second"
      %s: float32[2,32,8,8] = Add(%a, %b) "sum"
      %y: float32[2,32,8,8] = Relu(%s) "relu"`,
    inputs: "input %w2: float32[32,32,3,3]",
    outputs: "%y: float32[2,32,8,8]",
    moves: 2,
  },
  "normalization with statistics of the batch": {
    nodes: `%y: float32[2,32,8,8], %m: float32[32], %v: float32[32] = BatchNormalization(%a, %g, %h, %m0, %v0) { epsilon = 0.00001, momentum = 0.0, training_mode = 1 } "norm"`,
    inputs: "input %g: float32[32]\ninput %h: float32[32]\ninput %m0: float32[32]\ninput %v0: float32[32]",
    outputs: "%y: float32[2,32,8,8]\noutput %m: float32[32]\noutput %v: float32[32]",
    moves: 2,
  },
  "normalization with given statistics": {
    nodes: `
      %n: float32[2,24,8,8] = Conv(%a, %u) "narrow"
      %p: float32[24] = Abs(%v0) "positive"
      %y: float32[2,24,8,8] = BatchNormalization(%n, %g, %h, %m0, %p) { epsilon = 0.01 } "norm"`,
    inputs:
      "input %u: float32[24,32,1,1]\ninput %g: float32[24]\ninput %h: float32[24]\ninput %m0: float32[24]\ninput %v0: float32[24]",
    outputs: "%y: float32[2,24,8,8]",
    moves: 2,
  },
  "a factor and a term per channel": {
    nodes: `
      %s: float32[2,32,8,8] = Mul(%a, %g) "scale"
      %y: float32[2,32,8,8] = Add(%h, %s) "shift"`,
    inputs: "input %g: float32[1,32,1,1]\ninput %h: float32[32,1,1]",
    outputs: "%y: float32[2,32,8,8]",
    moves: 2,
  },
  "sums per channel, of an image and of a product": {
    nodes: `
      %r: float32[2,32,8,8] = Relu(%a) "relu"
      %p: float32[2,32,8,8] = Mul(%r, %a) "product"
      %s: float32[32] = ReduceSum(%p, %axes) { keepdims = 0 } "dot"
      %t: float32[1,32,1,1] = ReduceSum(%a, %axes) "sum"`,
    inputs: "const %axes: int64[3] = [0, 2, 3]",
    outputs: "%s: float32[32]\noutput %t: float32[1,32,1,1]",
    moves: 1,
  },
  "images one behind another, and a part of them": {
    nodes: `
      %r: float32[2,32,8,8] = Relu(%a) "relu"
      %c: float32[2,64,8,8] = Concat(%a, %r) { axis = 1 } "concat"
      %y: float32[2,32,8,8] = Slice(%c, %starts, %ends, %axes) "slice"`,
    inputs: "const %starts: int64[1] = [16]\nconst %ends: int64[1] = [48]\nconst %axes: int64[1] = [1]",
    outputs: "%y: float32[2,32,8,8]",
    moves: 2,
  },
  "pooling, and the mean of planes": {
    nodes: `
      %p: float32[2,32,4,4] = MaxPool(%a) { kernel_shape = [2, 2], strides = [2, 2] } "pool"
      %y: float32[2,32,1,1] = GlobalAveragePool(%p) "mean"`,
    outputs: "%y: float32[2,32,1,1]",
    moves: 1,
  },
  "one value per plane over the whole plane": {
    nodes: `
      %e: float32[2,32,8,8] = Expand(%g, %shape) "expand"
      %y: float32[2,32,8,8] = Mul(%e, %a) "mul"`,
    inputs: "input %g: float32[2,32,1,1]\nconst %shape: int64[4] = [2, 32, 8, 8]",
    outputs: "%y: float32[2,32,8,8]",
    moves: 2,
  },
  "channels moved to the end": {
    nodes: `
      %y: float32[2,8,8,32] = Transpose(%a) { perm = [0, 2, 3, 1] } "last"
      %f: float32[2,1,32,64] = Reshape(%a, %flat) "flat"
      %z: float32[1,2,64,32] = Transpose(%f) { perm = [1, 0, 3, 2] } "rows"`,
    inputs: "const %flat: int64[4] = [2, 1, 32, 64]",
    outputs: "%y: float32[2,8,8,32]\noutput %z: float32[1,2,64,32]",
    moves: 2,
  },
  "the way back of a strided convolution": {
    nodes: `%y: float32[2,16,16,16] = ConvTranspose(%a, %v) { strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1] } "back"`,
    inputs: "input %v: float32[32,16,3,3]",
    outputs: "%y: float32[2,16,16,16]",
    moves: 2,
  },
  "the way back of every second pixel": {
    nodes: `%y: float32[2,16,16,16] = ConvTranspose(%a, %v) { strides = [2, 2], output_padding = [1, 1] } "back"`,
    inputs: "input %v: float32[32,16,1,1]",
    outputs: "%y: float32[2,16,16,16]",
    moves: 2,
  },
  "the way back of a strided depthwise convolution": {
    nodes: `%y: float32[2,32,16,16] = ConvTranspose(%a, %v) { group = 32, strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1] } "back"`,
    inputs: "input %v: float32[32,1,3,3]",
    outputs: "%y: float32[2,32,16,16]",
    moves: 3,
  },
  "the gradient of a depthwise kernel": {
    nodes: `
      %i: float32[1,64,8,8] = Reshape(%a, %images) "images"
      %k: float32[64,1,8,8] = Reshape(%a, %kernels) "kernels"
      %p: float32[1,64,3,3] = Conv(%i, %k) { group = 64, pads = [1, 1, 1, 1] } "gradient"`,
    inputs: "const %images: int64[4] = [1, 64, 8, 8]\nconst %kernels: int64[4] = [64, 1, 8, 8]",
    outputs: "%p: float32[1,64,3,3]",
    moves: 2,
  },
  "a first convolution, of three channels": {
    nodes: `%y: float32[2,32,8,8] = Conv(%i, %v) { pads = [1, 1, 1, 1] } "stem"`,
    inputs: "input %i: float32[2,3,8,8]\ninput %v: float32[32,3,3,3]",
    outputs: "%y: float32[2,32,8,8]",
    moves: 1,
  },
};

function modelOf({ inputs = "", nodes, outputs }: Case): Model {
  const reads = /%a\b/.test(nodes + outputs);
  const first = reads
    ? `input %x: float32[2,16,8,8]
       input %w: float32[32,16,3,3]`
    : "";
  const conv = `%a: float32[2,32,8,8] = Conv(%x, %w) { pads = [1, 1, 1, 1] } "first"`;
  return inferShapes(
    parseModel(`
      ir_version 8
      opset "" 17
      graph "rule" {
        ${first}
        ${inputs}
        ${reads ? conv : ""}
        ${nodes}
        output ${outputs}
      }`),
  );
}

async function run(
  model: Model,
  feeds: Readonly<Record<string, RunTensor>>,
): Promise<Readonly<Record<string, RunTensor>>> {
  const session = await machine.createSession(writeModel(model), { threads: 1 });
  const { outputs } = await session.run(feeds, { fetches: model.graph.outputs.map(({ name }) => name) });
  await session.dispose();
  return outputs;
}

describe("a rule of the blocked layout", () => {
  test.each(Object.entries(CASES))("changes nothing: %s", async (_, each) => {
    if (block !== 16) return; // written for blocks of 16; other machines have the steps of blocks.test.ts
    const model = modelOf(each);
    const random = new Random(5);
    const feeds = Object.fromEntries(
      model.graph.inputs.map(({ name, dims }) => {
        const data = Float32Array.from({ length: sizeOf(dims as number[]) }, () => random.normal());
        return [name, { dtype: "float32", dims: dims as number[], data } as const];
      }),
    );
    const blocked = blockChannels(model, block);
    const ops = blocked.graph.nodes.filter(({ domain }) => domain === BLOCKED_DOMAIN).map(({ op }) => op);
    expect(ops).toContain("Conv");
    const kernels = model.graph.nodes.filter(({ op }) => op.startsWith("Conv")).length;
    const moves = ops.filter((op) => op.startsWith("Reorder")).length;
    expect(moves).toBeLessThanOrEqual(each.moves + kernels);
    const [expected, got] = [await run(model, feeds), await run(blocked, feeds)];
    for (const { name } of model.graph.outputs) {
      const [a, b] = [expected[name]!.data as Float32Array, got[name]!.data as Float32Array];
      expect(got[name]!.dims).toEqual(expected[name]!.dims);
      const scale = Math.max(1, ...a.map(Math.abs));
      expect(maxDifference(a, b) / scale, name).toBeLessThan(1e-5);
    }
  });
});
