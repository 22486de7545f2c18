import { LimberError } from "../base/index.js";

export interface TriggerOptions {
  /** How uncertain the model is of batches from its source: their mean, and how much batches deviate from it. */
  readonly source: { readonly mean: number; readonly deviation: number };
  /** Deviations from the mean at which a drift begins. Default 2. */
  readonly enter?: number | undefined;
  /** Deviations below which it is over. Default 1. */
  readonly leave?: number | undefined;
  /** What remains of the average with each batch. Default 0.8. */
  readonly memory?: number | undefined;
}

/** What a batch told. */
export interface Reading {
  /** Exponential average of the uncertainty. */
  readonly average: number;
  /** How far it is from the source. Units: deviations of a source batch, negative below the mean. */
  readonly distance: number;
  readonly drifted: boolean;
  /** Whether this batch changed `drifted`. */
  readonly changed: boolean;
}

/** Smallest deviation that counts: a source of equal batches must not turn everything into a drift. */
const LEAST_DEVIATION = 1e-3;

/** Mean and standard deviation of batches of the source. Throws: `data.invalid` without a finite value. */
export function sourceLevelOf(batchMeans: readonly number[]): { mean: number; deviation: number } {
  const values = batchMeans.filter(Number.isFinite);
  if (values.length === 0) {
    const message = "source level: uncertainties of at least one batch, got none that are numbers; check the images";
    throw new LimberError("data.invalid", message);
  }
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / Math.max(1, values.length - 1)) };
}

/**
 * Notices drifts: the average of a model's uncertainty leaves that of its source. It takes less to remain in a drift than to begin
 * one, so that an average near the border does not flap. Source: PatchLine.
 */
export class DriftTrigger {
  private average: number;
  private drifted = false;
  /** Batches whose uncertainty is not a number; they tell nothing. */
  broken = 0;

  /** Throws: `config.invalid`. */
  constructor(private readonly options: TriggerOptions) {
    const { source, enter = 2, leave = 1, memory = 0.8 } = options;
    const valid =
      Number.isFinite(source.mean) &&
      source.deviation >= 0 &&
      leave >= 0 &&
      leave <= enter &&
      memory >= 0 &&
      memory < 1;
    if (!valid) {
      const message = `drift trigger: leave from 0 to enter, memory from 0 to 1 and a finite source, got ${JSON.stringify(options)}; correct them`;
      throw new LimberError("config.invalid", message);
    }
    this.average = source.mean;
  }

  /** Takes the mean uncertainty of the next batch. */
  observe(uncertainty: number): Reading {
    const { source, enter = 2, leave = 1, memory = 0.8 } = this.options;
    if (Number.isFinite(uncertainty)) this.average = memory * this.average + (1 - memory) * uncertainty;
    else this.broken++;
    const distance = (this.average - source.mean) / Math.max(source.deviation, LEAST_DEVIATION);
    const before = this.drifted;
    this.drifted = Math.abs(distance) > (before ? leave : enter);
    return { average: this.average, distance, drifted: this.drifted, changed: before !== this.drifted };
  }

  /** Forgets what came, as after patching. */
  reset(): void {
    this.average = this.options.source.mean;
    this.drifted = false;
  }
}
