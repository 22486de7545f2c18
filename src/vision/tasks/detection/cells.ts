import { cellBoxes } from "../../../graph/index.js";
import type { HeadRecord } from "../metadata.js";
import { areaOf, isInside } from "./boxes.js";
import type { CreateCoder } from "./coder.js";
import { eachPlace, levelsOver } from "./grid.js";

/** Units: pixels. */
const STRIDE = 16;

/**
 * FastestDet: one box in each cell, decoded in part by the network.
 * Shapes: [5 + K, H, W]: objectness; offsets of the centre from the cell's corner before tanh, in cells; sides before sigmoid, as shares of
 * the picture; probabilities of classes. Scores are objectness^0.6 · probability^0.4 of the likeliest class.
 *
 * Targets, see `cellBoxes`: the cell that holds the middle of an object answers for it; of several objects, for the smallest.
 * Source: github.com/dog-qiuqiu/FastestDet, its example for ONNX Runtime.
 */
export const cellCoder: CreateCoder<Extract<HeadRecord, { kind: "fastestdet" }>> = (_, classes, image) => {
  const { levels, count } = levelsOver([STRIDE], image);
  const level = levels[0]!;
  const { width, height } = level;
  return {
    loss: cellBoxes,
    dims: [5 + classes, height, width],

    encode(boxes, into) {
      for (const { corners } of boxes.filter(({ crowd }) => crowd))
        eachPlace(level, (cell, x, y) => isInside(corners, x, y) && (into[cell] = -1));
      const objects = boxes.filter(({ crowd }) => !crowd).sort((a, b) => areaOf(b.corners) - areaOf(a.corners));
      for (const { label, corners } of objects) {
        const inCells = corners.map((edge) => edge / STRIDE);
        const [left, top, right, bottom] = inCells as [number, number, number, number];
        const column = Math.min(Math.floor((left + right) / 2), width - 1);
        const row = Math.min(Math.floor((top + bottom) / 2), height - 1);
        const cell = row * width + column;
        for (let k = 0; k < classes; k++) into[(5 + k) * count + cell] = k === label ? 1 : 0;
        into[cell] = 1;
        inCells.forEach((edge, i) => (into[(1 + i) * count + cell] = edge - (i % 2 === 0 ? column : row)));
      }
    },

    decode(output) {
      const corners = new Float64Array(4 * count);
      const scores = new Float64Array(classes * count);
      for (let cell = 0; cell < count; cell++) {
        const at = (row: number): number => output[row * count + cell]!;
        const x = (Math.tanh(at(1)) + (cell % width)) / width;
        const y = (Math.tanh(at(2)) + Math.floor(cell / width)) / height;
        const [w, h] = [sigmoid(at(3)) / 2, sigmoid(at(4)) / 2];
        corners.set(
          [x - w, y - h, x + w, y + h].map((share, i) => share * (i % 2 === 0 ? image.width : image.height)),
          4 * cell,
        );
        let likeliest = 0;
        for (let k = 1; k < classes; k++) if (at(5 + k) > at(5 + likeliest)) likeliest = k;
        scores[likeliest * count + cell] = at(0) ** 0.6 * at(5 + likeliest) ** 0.4;
      }
      return { count, corners, scores };
    },
  };
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
