import type { Random } from "../../base/index.js";
import type { Image } from "../image/types.js";
import { paintBackground } from "./backgrounds.js";
import type { BackgroundName } from "./backgrounds.js";
import { DIGIT_SIDE } from "./digits.js";
import type { Digits } from "./digits.js";
import type { SceneOptions, WorldDomain } from "./domains.js";
import { applyEffect } from "./effects.js";
import { createField, eachPixel, luminance, mix, quantize, REFERENCE_SIZE, smoothstep } from "./field.js";
import type { Field, Rgb } from "./field.js";
import { inkOf, MASK_COVERAGE, placeGlyph } from "./glyph.js";
import type { Box, Glyph, Stroke } from "./glyph.js";
import { pickColour, standOut } from "./palette.js";
import type { Family } from "./palette.js";

/** One digit in a scene; `digit` is its position among the embedded handwriting. */
export interface SceneObject {
  readonly label: number;
  readonly box: Box;
  readonly digit: number;
}

/** A picture with its ground truth. */
export interface Scene {
  readonly image: Image;
  /** Class of the first object. */
  readonly label: number;
  /** At least one. Their boxes are tight around their mask pixels and do not overlap. */
  readonly objects: readonly SceneObject[];
  /** H×W: 0 = background, class + 1 where ink covers at least half of the pixel. Weather does not change it. */
  readonly mask: Uint8Array;
  /** `background=…`, `family=…` and `stroke=…`. */
  readonly tags: readonly string[];
}

/** What is in a scene, decided before anything is drawn: cheap to ask for. */
export interface Cast {
  readonly digits: readonly { readonly label: number; readonly digit: number }[];
  readonly background: BackgroundName;
  readonly family: Family;
  readonly stroke: Stroke;
}

/** Parts of the usual digit height with one, two or three digits in the picture. */
const CROWD_SCALE = [1, 0.58, 0.5] as const;

export function castScene(
  options: SceneOptions,
  byClass: readonly (readonly number[])[],
  count: readonly [number, number],
  random: Random,
): Cast {
  const digits = Array.from({ length: random.int(count[0], count[1] + 1) }, () => {
    const label = pickWeighted(options.labelWeights, random);
    return { label, digit: random.pick(byClass[label]!) };
  });
  return {
    digits,
    background: random.pick(options.backgrounds),
    family: random.pick(options.families),
    stroke: random.pick(options.strokes),
  };
}

export const tagsOf = (cast: Cast): readonly string[] => [
  `background=${cast.background}`,
  `family=${cast.family}`,
  `stroke=${cast.stroke}`,
];

/** Draws a cast. Cost: about 0.1 ms at 32 pixels. */
export function drawScene(
  cast: Cast,
  domain: WorldDomain,
  options: SceneOptions,
  handwriting: Digits,
  size: number,
  random: Random,
): Scene {
  const field = createField(size);
  const mask = new Uint8Array(size * size);
  paintBackground(field, cast.background, random.fork("background"));
  const objects = drawDigits(field, mask, cast, options, handwriting, random.fork("digits"));
  shine(field, options.light, random.fork("light"));
  for (const effect of domain.effects) applyEffect(field, effect, random.fork(effect.kind));
  const image: Image = { width: size, height: size, channels: 3, data: quantize(field) };
  return { image, label: cast.digits[0]!.label, objects, mask, tags: tagsOf(cast) };
}

function drawDigits(
  field: Field,
  mask: Uint8Array,
  cast: Cast,
  options: SceneOptions,
  handwriting: Digits,
  random: Random,
): SceneObject[] {
  const crowd = CROWD_SCALE[cast.digits.length - 1]!;
  const [low, high] = options.pose.scale;
  const pose = { ...options.pose, scale: [low * crowd, high * crowd] as const };
  const placed: { readonly glyph: Glyph; readonly object: SceneObject }[] = [];
  for (const { label, digit } of cast.digits) {
    const pixels = handwriting.pixels.subarray(digit * DIGIT_SIDE ** 2, (digit + 1) * DIGIT_SIDE ** 2);
    const frames = placed.map(({ glyph }) => glyph.frame);
    const glyph = placeGlyph(inkOf(pixels, cast.stroke), pose, field.size, frames, random);
    if (!glyph) continue;
    const colour = standOut(
      pickColour(cast.family, random),
      groundUnder(field, glyph),
      random.uniform(...options.contrast),
    );
    paintGlyph(field, glyph, colour);
    markGlyph(mask, field.size, glyph, label + 1);
    placed.push({ glyph, object: { label, box: glyph.box, digit } });
  }
  return placed.map(({ object }) => object);
}

/** Calls back for every pixel of a glyph that has ink, with its offset in the picture moved by `shift` pixels down and right. */
function eachInk(
  size: number,
  { frame, ink }: Glyph,
  shift: number,
  visit: (covered: number, pixel: number) => void,
): void {
  const [left, top, width, height] = frame;
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      const x = left + column + shift;
      const y = top + row + shift;
      if (ink[i]! > 0 && x < size && y < size) visit(ink[i]!, y * size + x);
    }
  }
}

/** Mean luminance of the ground that a glyph will cover. */
function groundUnder({ size, data }: Field, glyph: Glyph): number {
  let sum = 0;
  let total = 0;
  eachInk(size, glyph, 0, (covered, pixel) => {
    sum += covered * luminance(data[3 * pixel]!, data[3 * pixel + 1]!, data[3 * pixel + 2]!);
    total += covered;
  });
  return sum / total;
}

/** Ink over ground, and first its shadow on the ground, one reference pixel down and to the right. */
function paintGlyph({ size, data }: Field, glyph: Glyph, colour: Rgb): void {
  const drop = Math.max(1, Math.round(size / REFERENCE_SIZE));
  eachInk(size, glyph, drop, (covered, pixel) => {
    for (let at = 3 * pixel; at < 3 * pixel + 3; at++) data[at]! *= 1 - 0.3 * covered;
  });
  eachInk(size, glyph, 0, (covered, pixel) => {
    for (let channel = 0, at = 3 * pixel; channel < 3; channel++, at++)
      data[at] = mix(data[at]!, colour[channel]!, covered);
  });
}

function markGlyph(mask: Uint8Array, size: number, glyph: Glyph, value: number): void {
  eachInk(size, glyph, 0, (covered, pixel) => {
    if (covered >= MASK_COVERAGE) mask[pixel] = value;
  });
}

/** Sunlight: brightness that falls off in one direction, and at times the soft edge of a shadow. */
function shine(field: Field, light: SceneOptions["light"], random: Random): void {
  const direction = random.uniform(0, 2 * Math.PI);
  const [dx, dy] = [Math.cos(direction), Math.sin(direction)];
  const [gain, gradient] = [random.uniform(...light.gain), random.uniform(...light.gradient) / 32];
  const darkness = random.next() < 0.5 ? random.uniform(...light.shadow) : 0;
  const edge = random.uniform(0, 2 * Math.PI);
  const [ex, ey] = [Math.cos(edge), Math.sin(edge)];
  const offset = random.uniform(-8, 8);
  eachPixel(field, (u, v, at) => {
    const x = u - 16;
    const y = v - 16;
    const shade = 1 - darkness * smoothstep(-1.5, 1.5, x * ex + y * ey - offset);
    const factor = gain * (1 + gradient * (x * dx + y * dy)) * shade;
    for (let channel = 0; channel < 3; channel++) field.data[at + channel]! *= factor;
  });
}

function pickWeighted(weights: readonly number[], random: Random): number {
  let left = random.next() * weights.reduce((sum, weight) => sum + weight, 0);
  const found = weights.findIndex((weight) => (left -= weight) < 0);
  return found < 0 ? weights.findLastIndex((weight) => weight > 0) : found;
}
