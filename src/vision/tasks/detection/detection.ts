import { formatShape, invariant, LimberError, type Tensor } from "../../../base/index.js";
import type { Model } from "../../../graph/index.js";
import type { TruthBox } from "../../data/truth.js";
import type { Size } from "../../preprocess/window.js";
import { type CheckedTaskRecord, readTaskRecord, TASK_KEY } from "../metadata.js";
import { findOutputDims } from "../output-dims.js";
import { type Task, unclassed } from "../task.js";
import type { FoundBox } from "./boxes.js";
import { boxesOf } from "./boxes-of.js";
import { findBoxes, uncertaintyOf } from "./candidates.js";
import type { BoxCoder, FloatArray } from "./coder.js";
import { createCoder } from "./kinds.js";
import { createBoxMeter } from "./meter.js";

/** Boxes that a model finds count as labels from this score on, and as crowds, which teach nothing, from the other. */
const PSEUDO_LABEL = { object: 0.5, crowd: 0.2 } as const;

/**
 * Objects and where they are. What the output means stands in the model's metadata, see `TaskRecord`.
 * Shapes: outputs and targets as the coder of the head says.
 */
export const detection: Task<readonly FoundBox[]> = {
  name: "detection",
  metric: "mAP@0.5",
  isDense: false,
  open(model, image) {
    const { classes, coder } = openHead(model, image);
    const encode = (boxes: readonly (readonly TruthBox[])[]) => {
      const size = sizeOfDims(coder);
      const data = new Float32Array(boxes.length * size);
      boxes.forEach((each, i) => {
        checkLabels(each, classes.length);
        coder.encode(each, data.subarray(i * size, (i + 1) * size));
      });
      return { dtype: "float32", dims: [boxes.length, ...coder.dims], data } as const;
    };
    const eachImage = <T>(output: Tensor, read: (data: FloatArray) => T): T[] => {
      const { data } = output;
      invariant(data instanceof Float32Array || data instanceof Float64Array, "boxes are floats");
      const size = sizeOfDims(coder);
      return Array.from({ length: output.dims[0]! }, (_, i) => read(data.subarray(i * size, (i + 1) * size)));
    };
    const decode = (output: Tensor): (readonly FoundBox[])[] =>
      eachImage(output, (data) => findBoxes(coder.decode(data), image));
    return {
      loss: coder.loss,
      encode: (truth) => encode(boxesOf(truth)),
      pseudoLabels: (output) =>
        unclassed(
          decode(output).map((boxes) => ({
            boxes: boxes
              .filter(({ score }) => score >= PSEUDO_LABEL.crowd)
              .map(({ label, corners, score }) => ({ label, corners, crowd: score < PSEUDO_LABEL.object })),
          })),
        ),
      decode,
      uncertainty: (output) => Float64Array.from(eachImage(output, (data) => uncertaintyOf(coder.decode(data)))),
      createMeter: () => createBoxMeter(decode, classes),
    };
  },
};

const sizeOfDims = ({ dims }: BoxCoder): number => dims.reduce((a, b) => a * b);

/** Throws: `method.unsuitable` unless the metadata say what the output is, and the output is that. */
function openHead(model: Model, image: Size): { classes: CheckedTaskRecord["classes"]; coder: BoxCoder } {
  const fail = (expected: string): LimberError => new LimberError("method.unsuitable", `detection: ${expected}`);
  const record = readTaskRecord(model);
  if (record?.task !== "detection" || record.head === undefined || record.classes.length === 0) {
    const example = '{"task":"detection","classes":["cat","dog"],"head":{"kind":"centre","strides":[8,16]}}';
    const got = record === undefined ? "none" : JSON.stringify(record);
    throw fail(
      `metadata ${TASK_KEY} such as ${example} expected, got ${got}; add it, with kind centre, ssd or fastestdet`,
    );
  }
  const { classes, head } = record;
  if (head.kind === "ssd" && head.scales.length !== head.strides.length)
    throw fail(
      `a scale for each of ${head.strides.length} strides expected, got ${head.scales.length}; correct ${TASK_KEY}`,
    );
  const coder = createCoder(head, classes.length, image);
  const dims = findOutputDims(model, image)?.slice(1);
  if (dims?.length === coder.dims.length && dims.every((size, i) => typeof size !== "number" || size === coder.dims[i]))
    return { classes, coder };
  const of = `${head.kind}, ${classes.length} classes and images of ${image.width}x${image.height}`;
  const got = dims ? formatShape(["N", ...dims]) : "one of unknown shape";
  throw fail(`a first output ${formatShape(["N", ...coder.dims])} for ${of} expected, got ${got}; correct ${TASK_KEY}`);
}

/** Throws: `data.invalid`. */
function checkLabels(boxes: readonly TruthBox[], classes: number): void {
  const strange = boxes.find(({ label }) => !(Number.isInteger(label) && label >= 0 && label < classes));
  if (strange)
    throw new LimberError(
      "data.invalid",
      `detection: labels from 0 to ${classes - 1} expected, got ${strange.label}; give the classes of the model in its order`,
    );
}
