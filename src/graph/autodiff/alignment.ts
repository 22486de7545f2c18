import { tensorOf } from "../../base/index.js";
import type { Emitter, Val } from "../ops/index.js";

/** A distance between two samples of features, as a scalar of the graph. Shapes: source [n, D], target [m, D]. */
export type Alignment = (emit: Emitter, source: Val, target: Val) => Val;

export interface MmdOptions {
  /**
   * What the widths of the kernels are multiples of, with no gradient: the mean squared distance of different samples (`pairs`),
   * of all pairs with those of a sample and itself (`all`), or 1.
   */
  readonly scale: "pairs" | "all" | "one";
  /** Width of each kernel: k(a, b) = Σ exp(-‖a-b‖² / (width·scale)). */
  readonly widths: readonly number[];
  /** `biased`: means over all pairs. `unbiased`: without those of a sample and itself, plus 2/(n-1). */
  readonly estimator: "biased" | "unbiased";
  /** Whether the kernels are summed (default) or averaged. */
  readonly kernels?: "sum" | "mean";
}

/** The forms in use; they differ in scale, by a factor, and in the pairs that count. */
export const MMD_FORMS = {
  /** Continual unsupervised adaptation in EdgeVisionBench, and DAN's usual code. */
  edgevision: { scale: "pairs", widths: [0.25, 0.5, 1, 2, 4], estimator: "biased" },
  /** The Transfer Learning Library's DAN: σ² = 2^k · mean, k = -3 … 1. */
  tllib: { scale: "all", widths: [0.25, 0.5, 1, 2, 4], estimator: "unbiased" },
  /** DomainBed: exp(-γ‖a-b‖²), γ = 10^k, k = -3 … 3. */
  domainbed: { scale: "one", widths: [1e3, 1e2, 1e1, 1, 1e-1, 1e-2, 1e-3], estimator: "biased" },
} as const satisfies Readonly<Record<string, MmdOptions>>;

/**
 * Squared maximum mean discrepancy with a sum or mean of Gaussian kernels: mean k(s, s') + mean k(t, t') - 2 mean k(s, t).
 * Source: Long et al. 2015, arXiv:1502.02791, §3; `MMD_FORMS` names whose conventions give which numbers.
 */
export const maximumMeanDiscrepancy =
  ({ scale, widths, estimator, kernels = "sum" }: MmdOptions): Alignment =>
  (emit, source, target) => {
    const [n, m] = [source.dims[0]!, target.dims[0]!];
    const squares = squaredDistances(emit, emit.concat([source, target], 0));
    const pairs = scale === "pairs" ? (n + m) * (n + m - 1) : (n + m) ** 2;
    const unit = scale === "one" ? undefined : emit.detach(emit.div(emit.sumAll(squares), pairs));
    const scaled = emit.neg(unit ? emit.div(squares, emit.max(unit, 1e-30)) : squares);
    const summed = widths.map((width) => emit.exp(emit.mul(scaled, 1 / width))).reduce((a, b) => emit.add(a, b));
    const kernel = kernels === "sum" ? summed : emit.mul(summed, 1 / widths.length);
    const own = kernels === "sum" ? widths.length : 1;
    const block = (rows: readonly [number, number], columns: readonly [number, number]): Val =>
      emit.sumAll(emit.slice(kernel, [0, 1], [rows[0], columns[0]], [rows[1], columns[1]]));
    const across = emit.mul(block([0, n], [n, n + m]), -2 / (n * m));
    // Each kernel of a sample and itself is 1.
    const within = (start: number, size: number): Val => {
      const sum = block([start, start + size], [start, start + size]);
      if (estimator === "biased") return emit.div(sum, size * size);
      return emit.div(emit.sub(sum, size * own), size * (size - 1));
    };
    const distance = emit.add(emit.add(within(0, n), within(n, m)), across);
    return estimator === "biased" ? distance : emit.add(distance, 2 / (n - 1));
  };

/** ‖x_i - x_j‖² of all pairs; rounding takes none below 0, nor a sample away from itself. Shapes: [N, D] → [N, N]. */
function squaredDistances(emit: Emitter, x: Val): Val {
  const size = x.dims[0]!;
  const norms = emit.reduceSum(emit.mul(x, x), [1], true);
  const sums = emit.add(norms, emit.transpose(norms, [1, 0]));
  const distances = emit.relu(emit.add(sums, emit.fusedMatMul(x, x, { transB: true, alpha: -2 })));
  const others = Array.from({ length: size * size }, (_, place) => (place % (size + 1) === 0 ? 0 : 1));
  return emit.mul(distances, emit.tensor(tensorOf(x.dtype, [size, size], others), "others"));
}

export interface CoralOptions {
  /** Divides the distance of the covariances: D² (default), or 4D² as in the paper. */
  readonly scale?: "d2" | "4d2";
  /** Add the mean squared distance of the means; default: yes. */
  readonly means?: boolean;
}

/**
 * Distance of the second moments: mean (C_s - C_t)² + mean (μ_s - μ_t)², C = (X-μ)ᵀ(X-μ) / (n-1).
 * Source: Sun & Saenko 2016, arXiv:1607.01719, eq. 1; with the defaults the same numbers as DomainBed and the Transfer Learning Library.
 */
export const correlationAlignment =
  ({ scale = "d2", means = true }: CoralOptions = {}): Alignment =>
  (emit, source, target) => {
    const [s, t] = [moments(emit, source), moments(emit, target)];
    const meanSquare = (a: Val, b: Val): Val => {
      const difference = emit.sub(a, b);
      return emit.meanAll(emit.mul(difference, difference));
    };
    const second = emit.div(meanSquare(s.covariance, t.covariance), scale === "d2" ? 1 : 4);
    return means ? emit.add(meanSquare(s.mean, t.mean), second) : second;
  };

function moments(emit: Emitter, x: Val): { mean: Val; covariance: Val } {
  const mean = emit.reduceMean(x, [0], true);
  const centred = emit.sub(x, mean);
  const covariance = emit.fusedMatMul(centred, centred, { transA: true, alpha: 1 / Math.max(x.dims[0]! - 1, 1) });
  return { mean, covariance };
}

/** Features as one vector per sample: what stands beyond the channels, such as a map, is averaged. Shapes: [N, D, …] → [N, D]. */
export function pooledFeatures(emit: Emitter, features: Val): Val {
  const places = features.dims.slice(2).map((_, axis) => axis + 2);
  return places.length === 0 ? features : emit.reduceMean(features, places);
}
