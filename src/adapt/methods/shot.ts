import { z } from "zod";
import { crossEntropy, informationMaximisation, sgd, weightedSum } from "../../graph/index.js";
import { findHead } from "../head.js";
import { type Control, defineMethod, type Host, parametersToTrain } from "../method.js";
import { centroidLabels } from "../pseudo-labels.js";
import { mapRows, matrixOf, matrixOfRows, rowOf, softmaxRow } from "../rows.js";

const schema = z.strictObject({
  learningRate: z.number().positive().default(1e-3),
  momentum: z.number().min(0).max(1).default(0.9),
  weightDecay: z.number().min(0).default(1e-3),
  /** Passes over the images of a domain; each begins with new labels. */
  epochs: z.int().min(1).default(15),
  /** Weight of the cross-entropy against the labels; 0.1 for digits in the authors' code. */
  labelWeight: z.number().min(0).default(0.3),
  /** Classes predicted for no more images than this get no label; 10 in the authors' code for partial domains. */
  threshold: z.int().min(0).default(0),
  entropyEpsilon: z.number().min(0).default(1e-5),
  trains: z.enum(["norm", "features", "all"]).default("features"),
});

/**
 * SHOT: the features learn until the classifier, which stays, is sure of them: information maximisation, and cross-entropy against
 * labels by the nearest class centroid, made anew before each pass over the images with the stored statistics.
 *
 * For a set of images rather than a stream. The learning rate falls as (1 + 10·t/T)^-0.75.
 * Cost: `epochs` passes of a forward and backward, and as many forwards.
 * Source: Liang et al. 2020, arXiv:2002.08546; https://github.com/tim-learn/SHOT. Differs: all in front of the classifier learns at the
 * backbone's rate, a tenth of the bottleneck's, which other models do not have.
 */
export const shot = defineMethod({
  name: "shot",
  summary: "information maximisation and labels by class centroids, several passes; the classifier stays",
  labels: "none",
  options: schema,
  plan({ model, options }) {
    const { learningRate, momentum, weightDecay, epochs, labelWeight, entropyEpsilon } = options;
    const { features } = findHead("shot", model);
    return {
      statistics: { sourceWeight: 0, variance: "unbiased" },
      observe: [features],
      train: {
        loss: weightedSum([
          [1, informationMaximisation({ epsilon: entropyEpsilon })],
          [labelWeight, crossEntropy()],
        ]),
        optimizer: sgd({ momentum, nesterov: true, weightDecay }),
        parameters: parametersToTrain("shot", model, options.trains),
        ...{ learningRate, epochs },
      },
      control: (host) => controlShot(host, features, options),
    };
  },
});

function controlShot(host: Host, features: string, options: z.output<typeof schema>): Control {
  const labels = new Map<number, number>();
  let [step, stepsPerPass] = [0, 1];
  return {
    async beginPass(pass, stream) {
      if (pass === 0) step = 0;
      const [rows, probabilities, indices]: [Float64Array[], Float64Array[], number[]] = [[], [], []];
      stepsPerPass = 0;
      for await (const batch of stream()) {
        const { prediction, observed } = await host.predict(batch.images, { statistics: "stored" });
        const [seen, scores] = [matrixOf(observed[features]!), mapRows(matrixOf(prediction), softmaxRow)];
        stepsPerPass++;
        Array.from(batch.indices).forEach((index, i) => {
          const [row, p] = [rowOf(seen, i), rowOf(scores, i)];
          if (!row.every(Number.isFinite) || !p.every(Number.isFinite)) return;
          rows.push(row);
          probabilities.push(p);
          indices.push(index);
        });
      }
      labels.clear();
      if (rows.length === 0) return;
      const found = centroidLabels(
        matrixOfRows(rows, rows[0]!.length),
        matrixOfRows(probabilities, probabilities[0]!.length),
        { threshold: options.threshold },
      );
      indices.forEach((index, i) => labels.set(index, found[i]!));
    },
    step({ images, indices }) {
      const data = BigInt64Array.from(Array.from(indices), (index) => BigInt(labels.get(index) ?? 0));
      const progress = step++ / (options.epochs * stepsPerPass);
      return host.step(
        { images, targets: { dtype: "int64", dims: [data.length], data } },
        { learningRate: options.learningRate * (1 + 10 * progress) ** -0.75, statisticsMomentum: 0.1 },
      );
    },
  };
}
