import type { Random } from "../../base/index.js";
import { clamp01, luminance, mix } from "./field.js";
import type { Rgb } from "./field.js";

/** Colours that a digit may have, by family. */
export const FAMILIES = {
  warm: [
    [0.85, 0.16, 0.12],
    [0.93, 0.45, 0.1],
    [0.96, 0.78, 0.16],
  ],
  cool: [
    [0.1, 0.25, 0.7],
    [0.12, 0.5, 0.8],
    [0.1, 0.62, 0.6],
  ],
  light: [
    [0.97, 0.97, 0.95],
    [0.95, 0.92, 0.8],
  ],
  dark: [
    [0.06, 0.06, 0.08],
    [0.16, 0.1, 0.08],
  ],
  violet: [
    [0.55, 0.15, 0.65],
    [0.85, 0.3, 0.75],
    [0.72, 0.6, 0.95],
  ],
} as const satisfies Record<string, readonly Rgb[]>;

export type Family = keyof typeof FAMILIES;

export function pickColour(family: Family, random: Random): Rgb {
  const [red, green, blue] = random.pick<Rgb>(FAMILIES[family]);
  const jitter = (value: number): number => clamp01(value + random.uniform(-0.06, 0.06));
  return [jitter(red), jitter(green), jitter(blue)];
}

/**
 * Moves a colour away from the ground, towards white or black, until it stands out by `contrast` in luminance:
 * to the side it is on, or to the other where there is no room.
 */
export function standOut(colour: Rgb, ground: number, contrast: number): Rgb {
  const own = luminance(...colour);
  if (Math.abs(own - ground) >= contrast) return colour;
  const lighter = own >= ground ? ground + contrast <= 1 : ground - contrast < 0;
  const end = lighter ? 1 : 0;
  const t = clamp01((ground + (lighter ? contrast : -contrast) - own) / (end - own));
  return [mix(colour[0], end, t), mix(colour[1], end, t), mix(colour[2], end, t)];
}
