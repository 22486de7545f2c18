import { invariant, LimberError, Random, sizeOf } from "../base/index.js";
import {
  buildNetwork,
  crossEntropy,
  inferShapes,
  type Model,
  parametersOf,
  prepareModel,
  sgd,
} from "../graph/index.js";
import { createMachine, Predictor, type RunTensor, Trainer, type TuneMode, tuneStep } from "../run/node.js";
import { countStepMacs } from "./macs.js";
import { isInference, type Mode, type Plan, planOf, STATISTICS } from "./modes.js";
import type { Answer, Command } from "./protocol.js";

const CLASSES = 10;

/** One network that is ready to step, and what a peer has to know to do the same. */
export interface Prepared {
  readonly answer: Answer;
  /** The whole round trip to the worker and back: it is what a caller waits for. */
  step(): Promise<void>;
}

/** Builds a network and compiles its step: SGD with momentum 0.9 against cross-entropy, on one fixed batch. */
export async function prepare(command: Command & { cmd: "prepare" }): Promise<Prepared> {
  const start = performance.now();
  const mode = command.mode as Mode;
  const { network, batch, imageSize, threads, tune } = command;
  const model = prepareModel(buildNetwork(network, { imageSize, classes: CLASSES }));
  const plan = planOf(model, mode);
  const images = drawImages([batch, 3, imageSize, imageSize]);
  const step = isInference(mode)
    ? await predicting(model, images, threads)
    : await training(model, plan, images, { mode, threads, tune: tune as TuneMode });
  const shaped = inferShapes(model, { inputDims: { [model.graph.inputs[0]!.name]: images.dims } });
  const answer: Answer = {
    parameters: parametersOf(model).reduce((sum, { tensor }) => sum + sizeOf(tensor.dims), 0),
    prepare_ms: performance.now() - start,
    trained: isInference(mode)
      ? null
      : Object.fromEntries(plan.parameters.map((name) => [name, plan.rows.get(name)?.length ?? null])),
    fixed_norms: plan.fixedNorms,
    macs: countStepMacs(shaped, plan, mode === "last-third-cached"),
  };
  return { answer, step };
}

async function predicting(model: Model, images: RunTensor, threads: number): Promise<Prepared["step"]> {
  const predictor = await Predictor.create(createMachine(), model, { threads });
  return async () => {
    await predictor.predict(images);
  };
}

async function training(
  model: Model,
  { parameters, rows }: Plan,
  images: RunTensor,
  { mode, threads, tune }: { mode: Mode; threads: number; tune: TuneMode },
): Promise<Prepared["step"]> {
  const machine = createMachine();
  const options = {
    ...{ machine, threads, statistics: STATISTICS },
    train: { loss: crossEntropy(), optimizer: sgd({ momentum: 0.9 }), parameters, rows },
  };
  const { choose } = await tuneStep(model, { mode: tune }, { ...options, imageDims: images.dims });
  const trainer = Trainer.create(model, { ...options, choose });
  const batch = { images, targets: drawLabels(model, images) };
  const samples = images.dims.slice(0, 1).flatMap((count) => Array.from({ length: count }, (_, i) => i));
  if (mode !== "last-third-cached") await trainer.warmUp(images.dims);
  return async () => {
    const { accepted } = await trainer.step(mode === "last-third-cached" ? { ...batch, samples } : batch, {
      learningRate: 1e-3,
      statisticsMomentum: 0.1,
    });
    if (accepted) return;
    throw new LimberError("train.non-finite", "bench: a finite step, got one that was refused", { mode });
  };
}

function drawImages(dims: readonly number[]): RunTensor {
  const random = new Random(0);
  return { dtype: "float32", dims, data: Float32Array.from({ length: sizeOf(dims) }, () => random.normal()) };
}

/** A class for each sample, or for each pixel of a model that answers with maps. */
function drawLabels({ graph }: Model, images: RunTensor): RunTensor {
  const random = new Random(1);
  const output = graph.outputs[0]!.dims;
  invariant(output, "a network that we build knows its output");
  const dims = [images.dims[0]!, ...output.slice(2).map(Number)];
  const data = BigInt64Array.from({ length: sizeOf(dims) }, () => BigInt(random.int(0, CLASSES)));
  return { dtype: "int64", dims, data };
}
