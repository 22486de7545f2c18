import { focalBoxes } from "../../../graph/index.js";
import type { Corners, TruthBox } from "../../data/truth.js";
import type { HeadRecord } from "../metadata.js";
import { areaOf, isInside } from "./boxes.js";
import type { CreateCoder } from "./coder.js";
import { eachPlace, type Level, levelsOver } from "./grid.js";

/** How far from the middle of an object its places reach. Units: strides. */
const RADIUS = 1.5;
/** The longest box of a level; the last takes all that are longer. Units: strides. */
const LONGEST = 4;

/**
 * Anchor-free: each place says how far it is to the four edges of its object, and which class that is.
 * Shapes: [4 + K, P], places of all levels side by side: distances in strides before softplus, then a logit per class.
 *
 * Targets, see `focalBoxes`: an object belongs to one level, by its longer side, and there to the places around its middle; the nearest
 * one, if all of them lie outside of it. Where two objects claim a place, the smaller has it. Places in a crowd do not count.
 * Source: FCOS, Tian et al. 2019, arXiv:1904.01355, §3.1, with its centre sampling. Differs: levels by the side of the box.
 */
export const centreCoder: CreateCoder<Extract<HeadRecord, { kind: "centre" }>> = ({ strides }, classes, image) => {
  const { levels, count } = levelsOver(strides, image);
  return {
    loss: focalBoxes(),
    dims: [4 + classes, count],

    encode(boxes, into) {
      const fillClasses = (place: number, value: number): void => {
        for (let row = 4; row < 4 + classes; row++) into[row * count + place] = value;
      };
      for (const { corners } of boxes.filter(({ crowd }) => crowd))
        for (const level of levels)
          eachPlace(level, (place, x, y) => isInside(corners, x, y) && fillClasses(place, -1));
      const objects = boxes.filter(({ crowd }) => !crowd).sort((a, b) => areaOf(b.corners) - areaOf(a.corners));
      for (const { label, corners } of objects) {
        const level = levelFor(corners, levels);
        for (const { place, x, y } of placesFor(corners, level)) {
          const [left, top, right, bottom] = corners;
          [x - left, y - top, right - x, bottom - y].forEach((distance, row) => {
            into[row * count + place] = Math.max(0, distance) / level.stride;
          });
          fillClasses(place, 0);
          into[(4 + label) * count + place] = 1;
        }
      }
    },

    decode(output) {
      const corners = new Float64Array(4 * count);
      for (const level of levels) {
        eachPlace(level, (place, x, y) => {
          const distance = (row: number): number => softplus(output[row * count + place]!) * level.stride;
          corners.set([x - distance(0), y - distance(1), x + distance(2), y + distance(3)], 4 * place);
        });
      }
      const scores = Float64Array.from(output.subarray(4 * count), (logit) => 1 / (1 + Math.exp(-logit)));
      return { count, corners, scores };
    },
  };
};

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

function levelFor([left, top, right, bottom]: Corners, levels: readonly Level[]): Level {
  const side = Math.max(right - left, bottom - top);
  return levels.find(({ stride }) => side <= LONGEST * stride) ?? levels.at(-1)!;
}

interface Place {
  readonly place: number;
  readonly x: number;
  readonly y: number;
}

/** The places that answer for a box. */
function placesFor(corners: TruthBox["corners"], level: Level): readonly Place[] {
  const [left, top, right, bottom] = corners;
  const [middleX, middleY] = [(left + right) / 2, (top + bottom) / 2];
  const reach = RADIUS * level.stride;
  const inside: Place[] = [];
  let nearest: Place | undefined;
  let least = Infinity;
  eachPlace(level, (place, x, y) => {
    const [acrossX, acrossY] = [Math.abs(x - middleX), Math.abs(y - middleY)];
    if (isInside(corners, x, y) && acrossX < reach && acrossY < reach) inside.push({ place, x, y });
    const distance = acrossX ** 2 + acrossY ** 2;
    if (distance < least) [nearest, least] = [{ place, x, y }, distance];
  });
  return inside.length > 0 || nearest === undefined ? inside : [nearest];
}
