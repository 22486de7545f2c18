import { BACKBONE_KEY, headOf, type Model } from "../../graph/index.js";
import type { KeptTrainers, RunTensor, SessionOptions } from "../../run/node.js";
import type { LevelOutput } from "../estimate/signals.js";

export interface AnswerOptions extends SessionOptions {
  readonly trainers: KeptTrainers;
  /** Of the model's structure: equal keys, one compiled model. */
  readonly key: string;
}

/** What a model answers for pictures, all in one batch, with the features that its head sees. */
export async function answer(
  model: Model,
  images: RunTensor,
  options: AnswerOptions,
): Promise<Required<Pick<LevelOutput, "output">> & LevelOutput> {
  const { trainers, key, threads, optimization } = options;
  const features = featuresOf(model);
  const observe = features === undefined ? [] : [features];
  const trainer = await trainers.take(`answers ${key}`, model, { statistics: "fixed", observe, threads, optimization });
  const { prediction, observed } = await trainer.step({ images });
  return { output: prediction, features: features === undefined ? undefined : observed[features] };
}

/** Where the head begins: as the model's metadata say, else in front of its last layer. */
function featuresOf(model: Model): string | undefined {
  const named = model.metadata.get(BACKBONE_KEY);
  const isThere = named !== undefined && model.graph.nodes.some(({ outputs }) => outputs.includes(named));
  return isThere ? named : headOf(model)[0]?.node.inputs[0];
}
