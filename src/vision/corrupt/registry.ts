import { defocusBlur, gaussianBlurring, glassBlur, motionBlur, zoomBlur } from "./blur.js";
import { brightness, contrast, elasticTransform, jpegCompression, pixelate, saturate } from "./digital.js";
import { gaussianNoise, impulseNoise, shotNoise, speckleNoise } from "./noise.js";
import { spatter } from "./spatter.js";
import { squareSnow } from "./squares.js";
import type { Corruption, CorruptionSet } from "./types.js";
import { fog, frost, snow } from "./weather.js";

/**
 * Every corruption by its published name, in the order in which papers report them.
 * Source: Hendrycks & Dietterich 2019, https://github.com/hendrycks/robustness; `square_snow`: PatchLine.
 * Differs: random numbers are our own, so images equal the published ones in distribution, not byte for byte.
 */
export const CORRUPTIONS = {
  gaussian_noise: gaussianNoise,
  shot_noise: shotNoise,
  impulse_noise: impulseNoise,
  defocus_blur: defocusBlur,
  glass_blur: glassBlur,
  motion_blur: motionBlur,
  zoom_blur: zoomBlur,
  snow,
  frost,
  fog,
  brightness,
  contrast,
  elastic_transform: elasticTransform,
  pixelate,
  jpeg_compression: jpegCompression,
  speckle_noise: speckleNoise,
  gaussian_blur: gaussianBlurring,
  spatter,
  saturate,
  square_snow: squareSnow,
} as const satisfies Record<string, Corruption>;

export type CorruptionName = keyof typeof CORRUPTIONS;

export const isCorruptionName = (name: string): name is CorruptionName => Object.hasOwn(CORRUPTIONS, name);

/** The names of one set, or of all, in reporting order. */
export const corruptionNames = (set?: CorruptionSet): CorruptionName[] =>
  Object.keys(CORRUPTIONS)
    .filter(isCorruptionName)
    .filter((name) => set === undefined || CORRUPTIONS[name].set === set);
