import { formatShape, LimberError, type Tensor } from "../../../base/index.js";
import { crossEntropy } from "../../../graph/index.js";
import type { RunTensor } from "../../../run/node.js";
import { findOutputDims } from "../output-dims.js";
import { imageEntropies, likeliestClasses } from "../places.js";
import type { Meter, Task } from "../task.js";

/** The class of a whole picture: scores [N, K], with any further axes of size 1. */
export const classification: Task<number> = {
  name: "classification",
  metric: "accuracy",
  isDense: false,
  open(model, image) {
    const dims = findOutputDims(model, image);
    const ones = dims?.slice(2) ?? [];
    if (dims && (dims.length < 2 || ones.some((size) => size !== 1))) {
      const message = `classification: a first output [N,K], got ${formatShape(dims)}; use a classifier`;
      throw new LimberError("method.unsuitable", message, { got: dims });
    }
    const targetsOf = (labels: Int32Array): RunTensor => ({
      dtype: "int64",
      dims: [labels.length, ...ones.map(() => 1)],
      data: BigInt64Array.from(labels, BigInt),
    });
    return {
      loss: crossEntropy(),
      encode({ labels }) {
        if (labels.every((label) => label >= 0)) return targetsOf(labels);
        throw new LimberError(
          "data.invalid",
          "classification: a class for every picture expected, got one without; label it",
        );
      },
      pseudoLabels: (output) => ({ labels: likeliestClasses(output).map((label) => Math.max(label, 0)) }),
      decode: (output) => [...likeliestClasses(output)],
      uncertainty: imageEntropies,
      createMeter: createAccuracyMeter,
    };
  },
};

/** Counts correct answers among the samples that have a label. */
function createAccuracyMeter(): Meter {
  let [correct, samples] = [0, 0];
  return {
    add(output: Tensor, { labels }) {
      likeliestClasses(output).forEach((answer, i) => {
        if (labels[i]! < 0) return;
        samples++;
        if (answer === labels[i]) correct++;
      });
    },
    read: () => ({ value: samples === 0 ? 0 : correct / samples, samples, details: {} }),
  };
}
