/**
 * Our side of the engine benchmark, one network in one process: the same protocol as `peers/bench_engine.py`, one JSON
 * command per line on stdin, one JSON answer per line on stdout. A step is forward, cross-entropy, backward and SGD with
 * momentum 0.9 on one fixed batch, batch statistics tracked, as in the peer.
 */
import { createInterface } from "node:readline";
import { isLimberError, Random, sizeOf } from "../base/index.js";
import { buildNetwork, crossEntropy, parametersOf, sgd } from "../graph/index.js";
import { type RunTensor, Trainer } from "../run/node.js";
import type { Answer, Command } from "./peer.js";

let step: (() => Promise<number>) | undefined;
let trainer: Trainer | undefined;

async function prepare({ network, batch, imageSize, threads }: Command & { cmd: "prepare" }): Promise<Answer> {
  const start = performance.now();
  const model = buildNetwork(network, { imageSize, classes: 10 });
  const parameters = parametersOf(model);
  trainer = Trainer.create(model, {
    threads,
    statistics: { sourceWeight: 0, variance: "unbiased" },
    train: { loss: crossEntropy(), optimizer: sgd({ momentum: 0.9 }), parameters: parameters.map(({ name }) => name) },
  });
  const random = new Random(0);
  const dims = [batch, 3, imageSize, imageSize];
  const images: RunTensor = {
    dtype: "float32",
    dims,
    data: Float32Array.from({ length: sizeOf(dims) }, () => random.normal()),
  };
  const labels = BigInt64Array.from({ length: batch }, () => BigInt(random.int(0, 10)));
  const targets: RunTensor = { dtype: "int64", dims: [batch], data: labels };
  await trainer.warmUp(dims);
  step = async () => {
    // The whole round trip to the worker and back counts: it is what a caller waits for.
    const began = performance.now();
    await trainer!.step({ images, targets }, { learningRate: 0.01, statisticsMomentum: 0.1 });
    return performance.now() - began;
  };
  const count = parameters.reduce((n, { tensor }) => n + sizeOf(tensor.dims), 0);
  return { parameters: count, prepare_ms: performance.now() - start };
}

async function answer(command: Command): Promise<Answer> {
  switch (command.cmd) {
    case "prepare":
      return prepare(command);
    case "step": {
      const ms: number[] = [];
      for (let i = 0; i < command.count; i++) ms.push(await step!());
      return { ms };
    }
    case "memory":
      return { peak_rss_mb: (await trainer!.memory()).peakBytes / 1e6 };
    case "quit":
      process.exit(0);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line) as Command).catch((cause: unknown): Answer => {
    return { error: isLimberError(cause) ? cause.message : String(cause) };
  });
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
