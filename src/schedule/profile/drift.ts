/** A time that was measured while an app ran, beside the one of its profile. Units: milliseconds of the device, as if alone. */
export interface MeasuredTime {
  readonly profiledMs: number;
  readonly measuredMs: number;
}

export interface ProfileDrift {
  /** How many times as long things take now: the moving geometric mean. */
  readonly ratio: number;
  /** The profile is to be measured again. */
  readonly isStale: boolean;
}

export interface ProfileDriftOptions {
  /** Default 1.3, either way. */
  readonly tolerance?: number | undefined;
  /** Times in a row that the ratio has to be outside. Default 8. */
  readonly patience?: number | undefined;
}

/** Weight of the newest time. */
const WEIGHT = 0.2;

/**
 * Whether measured times have left a profile: the exponentially weighted mean of ln(measured / profiled) is outside of the tolerance so many
 * times in a row. One slow step is not enough, and a machine that became twice as slow is noticed after ten. Times that are not above
 * 0 are skipped.
 */
export function profileDriftOf(times: readonly MeasuredTime[], options: ProfileDriftOptions = {}): ProfileDrift {
  const { tolerance = 1.3, patience = 8 } = options;
  let [mean, outside] = [0, 0];
  for (const { profiledMs, measuredMs } of times) {
    if (!(profiledMs > 0 && measuredMs > 0)) continue;
    mean += WEIGHT * (Math.log(measuredMs / profiledMs) - mean);
    outside = Math.abs(mean) > Math.log(tolerance) ? outside + 1 : 0;
  }
  return { ratio: Math.exp(mean), isStale: outside >= patience };
}
