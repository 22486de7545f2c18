import type { RunTensor } from "../run/node.js";
import { mapRows, matrixOf, softmaxRow } from "./rows.js";

export interface GuardOptions {
  /** Entropy of the mean prediction, as a share of ln K, below which the source is asked. Default 0.35. */
  readonly suspicious?: number;
  /** Share of the source's own that the entropy has to reach then. Default 0.5. */
  readonly ratio?: number;
}

/** Samples that the mean prediction remembers, for each class. */
const MEMORY = 8;

/**
 * Notices that an adapted model has come to predict few classes where the source model sees many: the collapse of methods that make
 * predictions sure. A stream that does have few classes looks so to the source too.
 *
 * Compares H(mean prediction), each mean over the last samples; only where that of the adapted model is low is the source run at all.
 * Source: the degenerate solutions of entropy minimisation, Niu et al. 2023, arXiv:2302.12400, §3.2; resetting as in AETTA, Lee et al.
 * 2024, arXiv:2404.01351, §5. Differs: needs no dropout, and the source instead of a threshold on an estimated accuracy.
 */
export class CollapseGuard {
  private adapted: Float64Array | undefined;
  private source: Float64Array | undefined;
  /** Samples of the source's mean. */
  private asked = 0;

  constructor(private readonly options: GuardOptions = {}) {}

  /** Takes what was served for a batch; `ask` gives the source's prediction of it. Shapes: [N, K] logits. */
  async hasCollapsed(prediction: RunTensor, ask: () => Promise<RunTensor>): Promise<boolean> {
    const { suspicious = 0.35, ratio = 0.5 } = this.options;
    const mean = meanPrediction(prediction);
    const [samples, classes] = [prediction.dims[0]!, mean.length];
    this.adapted = follow(this.adapted, mean, samples);
    const own = entropyOf(this.adapted);
    if (own >= suspicious * Math.log(classes)) {
      [this.source, this.asked] = [undefined, 0];
      return false;
    }
    this.source = follow(this.source, meanPrediction(await ask()), samples);
    this.asked += samples;
    return this.asked >= 2 * classes && own < ratio * entropyOf(this.source);
  }

  /** Forgets the predictions of weights that are gone. */
  reset(): void {
    [this.adapted, this.source, this.asked] = [undefined, undefined, 0];
  }
}

/** Rows that are not numbers, where an image was far out of range, count for nothing. */
function meanPrediction(logits: RunTensor): Float64Array {
  const { rows, columns, data } = mapRows(matrixOf(logits), softmaxRow);
  const mean = new Float64Array(columns);
  data.forEach((p, at) => (mean[at % columns]! += Number.isFinite(p) ? p / rows : 0));
  return mean;
}

/** A moving mean over about `MEMORY` samples for each class. */
function follow(mean: Float64Array | undefined, now: Float64Array, samples: number): Float64Array {
  if (!mean) return now;
  const keep = Math.exp(-samples / (MEMORY * now.length));
  return mean.map((past, k) => keep * past + (1 - keep) * now[k]!);
}

/** Units: nats. */
const entropyOf = (p: Float64Array): number => p.reduce((sum, q) => (q > 0 ? sum - q * Math.log(q) : sum), 0);
