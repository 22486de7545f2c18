import { Random, tensorOf, toNumbers } from "../../../src/base/index.js";
import {
  crossEntropy,
  meanSquaredError,
  type Model,
  parametersOf,
  sgd,
  type Statistics,
} from "../../../src/graph/index.js";
import { type Batch, type Machine, type RunTensor, Trainer } from "../../../src/run/node.js";

/** What one step of plain gradient descent on all parameters did to the loss of its own batch. */
export interface Descent {
  readonly loss: "cross-entropy" | "distance to a shaken copy";
  readonly before: number;
  readonly after: number;
  /** How far the loss fell, as a share of what its gradient promised: 1 for a right gradient and a small step. */
  readonly agreement: number;
}

/** The share of the loss that a step should take away. */
const SHARE = 1e-3;

/**
 * Goes so far along the gradient that the loss should fall by a thousandth. A gradient with a wrong part falls short of its own
 * promise, whatever the model. Without targets they are the outputs of the same model with noise on its weights.
 */
export async function descend(model: Model, batch: Batch, statistics: Statistics, machine: Machine): Promise<Descent> {
  const targets = batch.targets ?? (await outputOf(shaken(model), batch.images, statistics, machine));
  const loss = batch.targets ? crossEntropy() : meanSquaredError;
  const parameters = parametersOf(model).map(({ name }) => name);
  const trainer = Trainer.create(model, { machine, statistics, train: { loss, optimizer: sgd(), parameters } });
  const step = (learningRate: number) => trainer.step({ ...batch, targets }, { learningRate });
  const { loss: before = NaN, gradientNorm = NaN } = await step(0);
  await step((SHARE * before) / gradientNorm ** 2);
  const { loss: after = NaN } = await step(0);
  await trainer[Symbol.asyncDispose]();
  const name = batch.targets ? "cross-entropy" : "distance to a shaken copy";
  return { loss: name, before, after, agreement: (before - after) / (SHARE * before) };
}

async function outputOf(model: Model, images: RunTensor, statistics: Statistics, machine: Machine): Promise<RunTensor> {
  const trainer = Trainer.create(model, { machine, statistics });
  const { prediction } = await trainer.step({ images });
  await trainer[Symbol.asyncDispose]();
  return prediction;
}

/** The model with every weight changed by a few percent. */
function shaken(model: Model): Model {
  const random = new Random(1);
  const initializers = new Map(model.graph.initializers);
  for (const { name, tensor } of parametersOf(model)) {
    const values = toNumbers(tensor).map((value) => value * random.normal(1, 0.05));
    initializers.set(name, tensorOf(tensor.dtype, tensor.dims, values));
  }
  return { ...model, graph: { ...model.graph, initializers } };
}
