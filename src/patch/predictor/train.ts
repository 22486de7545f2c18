import { type EpochReport, train, type TrainingOptions } from "../../adapt/index.js";
import { headOf, type Model } from "../../graph/index.js";
import type { Domain } from "../../vision/index.js";

export interface CountTrainingOptions extends Omit<TrainingOptions, "parameters" | "rows" | "onCheckpoint" | "resume"> {
  /** Epochs at the start in which only the head trains. Default: a quarter. */
  readonly frozenEpochs?: number | undefined;
}

export interface CountTraining {
  readonly model: Model;
  /** Of both phases. */
  readonly epochs: readonly EpochReport[];
}

/**
 * Trains a network to tell how many patches a drift takes: first its head alone, then all of it.
 * Source: PatchLine, 50 of 200 epochs with frozen features. Differs: Adam at 1e-3 instead of SGD. Throws: as `train`.
 */
export async function trainCount(
  network: Model,
  data: Domain | readonly Domain[],
  { frozenEpochs, ...options }: CountTrainingOptions,
): Promise<CountTraining> {
  const frozen = Math.min(options.epochs, frozenEpochs ?? Math.floor(options.epochs / 4));
  const phases = [
    { epochs: frozen, parameters: headOf(network).map(({ name }) => name) },
    { epochs: options.epochs - frozen },
  ].filter(({ epochs }) => epochs > 0);
  let model = network;
  const reports: EpochReport[] = [];
  for (const phase of phases) {
    const result = await train(model, data, { optimizer: "adam", ...options, ...phase });
    reports.push(...result.epochs.map((report) => ({ ...report, epoch: reports.length + report.epoch })));
    model = result.model;
  }
  return { model, epochs: reports };
}
