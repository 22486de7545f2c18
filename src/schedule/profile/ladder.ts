import { LimberError } from "../../base/index.js";
import type { Level } from "../app.js";

export interface LadderOptions {
  /** Filters, or patches, from one level to the next. Default 1. */
  readonly quantum?: number | undefined;
}

/**
 * The levels measured, and others between them with costs linear in the size: as fine as one filter. Measured ones stay as they are.
 * Throws: `config.invalid` unless sizes rise and the quantum is a whole number above 0.
 */
export function interpolateLevels(measured: readonly Level[], { quantum = 1 }: LadderOptions = {}): Level[] {
  if (!(Number.isInteger(quantum) && quantum > 0)) {
    const message = `levels: a quantum of 1, 2, …, got ${quantum}; give the filters from one level to the next`;
    throw new LimberError("config.invalid", message, { quantum });
  }
  return measured.flatMap((low, i) => {
    const high = measured[i + 1];
    if (!high) return [low];
    if (high.size <= low.size) {
      const message = `levels: sizes from small to large, got ${high.size} after ${low.size}; sort them`;
      throw new LimberError("config.invalid", message, { sizes: measured.map(({ size }) => size) });
    }
    const between = Math.ceil((high.size - low.size) / quantum) - 1;
    return [low, ...Array.from({ length: between }, (_, k) => levelBetween(low, high, low.size + (k + 1) * quantum))];
  });
}

function levelBetween(low: Level, high: Level, size: number): Level {
  const part = (size - low.size) / (high.size - low.size);
  const mix = (a: number, b: number): number => a + part * (b - a);
  const hasSparsity = low.sparsity !== undefined && high.sparsity !== undefined;
  return {
    name: `size ${size}`,
    sparsity: hasSparsity ? mix(low.sparsity, high.sparsity) : undefined,
    size,
    inferMs: mix(low.inferMs, high.inferMs),
    stepMs: mix(low.stepMs, high.stepMs),
    makeMs: mix(low.makeMs, high.makeMs),
    memoryBytes: mix(low.memoryBytes, high.memoryBytes),
  };
}
