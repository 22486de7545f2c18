import { z } from "zod";
import type { BatchStatistics } from "../../graph/index.js";
import { findHead, type Head } from "../head.js";
import { type Control, defineMethod, type Host } from "../method.js";
import {
  argmaxRow,
  dot,
  entropyOfRow,
  mapRows,
  type Matrix,
  matrixOf,
  matrixOfRows,
  rowOf,
  tensorLike,
  toUnit,
} from "../rows.js";

/** Features that speak for a class. */
interface Support {
  readonly unit: Float64Array;
  readonly label: number;
  readonly entropy: number;
}

const schema = z.strictObject({
  /** K: supports kept per class, those with the lowest entropy; 0 keeps all, -1 all but the least sure, as the authors' code does for -1. */
  supports: z.int().min(-1).default(20),
  /** What the features are computed with: the stored statistics, as the authors do, or those of the batch. */
  statistics: z.enum(["stored", "batch"]).default("stored"),
  /** Whether the rows of the classifier, the first supports, are labelled by a classifier with bias, as in the authors' code. */
  biasInSupports: z.boolean().default(true),
});

/**
 * T3A: replaces the classifier by prototypes, the sums of unit features that were predicted as a class with the lowest entropy;
 * logits are features · unit prototypes. Begins with the rows of the classifier.
 *
 * The exported model has the prototypes for its classifier.
 * Cost: a forward; K·classes feature vectors are kept.
 * Source: Iwasawa & Matsuo, NeurIPS 2021, "Test-Time Classifier Adjustment Module"; https://github.com/matsuolab/T3A.
 */
export const t3a = defineMethod({
  name: "t3a",
  summary: "prototypes from confident features in place of the classifier; nothing is trained",
  labels: "none",
  options: schema,
  plan({ model, options }) {
    const head = findHead("t3a", model);
    const batch: BatchStatistics = { sourceWeight: 0, variance: "unbiased" };
    return {
      statistics: options.statistics === "stored" ? "fixed" : batch,
      observe: [head.features],
      control: (host) => controlT3a(host, head, options),
    };
  },
});

function controlT3a(host: Host, head: Head, options: z.output<typeof schema>): Control {
  const rows: Matrix = { rows: head.classes, columns: head.width, data: head.weight };
  const own = mapRows(rows, (row) =>
    Float64Array.from({ length: head.classes }, (_, k) => {
      return dot(row, rowOf(rows, k)) + (options.biasInSupports ? head.bias[k]! : 0);
    }),
  );
  const start = supportsOf(rows, own);
  let supports = start;
  return {
    async step({ images }) {
      const report = await host.step({ images });
      const features = matrixOf(report.observed[head.features]!);
      const found = supportsOf(features, matrixOf(report.prediction));
      supports = keepSurest([...supports, ...found], head.classes, options.supports);
      const prototypes = prototypesOf(supports, head);
      const logits = mapRows(features, (row) =>
        Float64Array.from({ length: head.classes }, (_, k) => dot(row, rowOf(prototypes, k))),
      );
      return { ...report, prediction: tensorLike(report.prediction, logits) };
    },
    reset: () => {
      supports = start;
    },
    exportModel: (adapted) => (supports === start ? adapted : head.replace(adapted, prototypesOf(supports, head).data)),
  };
}

/** Rows that are not numbers speak for nothing. */
function supportsOf(features: Matrix, logits: Matrix): Support[] {
  return Array.from({ length: features.rows }, (_, i): Support => {
    const scores = rowOf(logits, i);
    return { unit: toUnit(rowOf(features, i)), label: argmaxRow(scores), entropy: entropyOfRow(scores) };
  }).filter(({ unit, entropy }) => Number.isFinite(entropy) && unit.every(Number.isFinite));
}

function keepSurest(supports: readonly Support[], classes: number, most: number): Support[] {
  return Array.from({ length: classes }, (_, k) =>
    supports
      .filter(({ label }) => label === k)
      .sort((a, b) => a.entropy - b.entropy)
      .slice(0, most === 0 ? undefined : most),
  ).flat();
}

/** Shapes: [K, D], each row of length 1. */
function prototypesOf(supports: readonly Support[], { classes, width }: Head): Matrix {
  const sums = Array.from({ length: classes }, () => new Float64Array(width));
  for (const { unit, label } of supports) unit.forEach((value, d) => (sums[label]![d]! += value));
  return mapRows(matrixOfRows(sums, width), (row) => toUnit(row));
}
