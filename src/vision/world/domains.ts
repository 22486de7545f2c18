import type { BackgroundName } from "./backgrounds.js";
import type { Effect } from "./effects.js";
import type { Range } from "./field.js";
import type { Pose, Stroke } from "./glyph.js";
import type { Family } from "./palette.js";

/** What stands in a scene and how it is lit, before weather and sensor. */
export interface SceneOptions {
  readonly backgrounds: readonly BackgroundName[];
  readonly families: readonly Family[];
  readonly strokes: readonly Stroke[];
  /** How likely each class is, in any unit. */
  readonly labelWeights: readonly number[];
  readonly pose: Pose;
  /** Least difference in luminance between a digit and the ground under it. */
  readonly contrast: Range;
  readonly light: {
    readonly gain: Range;
    /** Relative change of brightness across the picture. */
    readonly gradient: Range;
    /** Darkness of a soft shadow that falls over a part of the picture, in half of the scenes. */
    readonly shadow: Range;
  };
}

/** One kind of surroundings: change `scene` against the source, or what lies between scene and eye. */
export interface WorldDomain {
  readonly name: string;
  readonly summary: string;
  readonly scene: Partial<SceneOptions>;
  /** Applied in this order. */
  readonly effects: readonly Effect[];
}

/** The source world: what `day` shows and every other domain starts from. */
export const SOURCE_SCENE: SceneOptions = {
  backgrounds: ["asphalt", "grass", "brick", "wood", "sky", "sand", "concrete"],
  families: ["warm", "cool", "light", "dark"],
  strokes: ["plain", "bold"],
  labelWeights: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
  pose: { scale: [0.55, 0.8], rotation: 15, slant: 8 },
  contrast: [0.28, 0.5],
  light: { gain: [0.85, 1.1], gradient: [0, 0.5], shadow: [0.15, 0.4] },
};

const CAMERA: Effect = { kind: "noise", shot: [0.01, 0.02], read: [0.004, 0.01], defects: 0 };

/** Every domain of the embedded world. A drift is milder or stronger by its numbers; nothing else depends on them. */
export const WORLD_DOMAINS: readonly WorldDomain[] = [
  { name: "day", summary: "clear daylight: the source", scene: {}, effects: [CAMERA] },
  {
    name: "dusk",
    summary: "low orange light, long shadows",
    scene: { light: { gain: [0.8, 1], gradient: [0.5, 1], shadow: [0.4, 0.65] } },
    effects: [
      { kind: "exposure", gain: [0.62, 0.85], toe: [0.05, 0.25], colour: [1.2, 0.82, 0.66] },
      { kind: "noise", shot: [0.02, 0.04], read: [0.015, 0.025], defects: 0 },
    ],
  },
  {
    name: "night",
    summary: "dark, one lamp, a noisy sensor",
    scene: { light: { gain: [0.8, 1], gradient: [0, 0.3], shadow: [0.1, 0.3] } },
    effects: [
      { kind: "exposure", gain: [0.75, 0.95], toe: [0, 0.15], colour: [0.72, 0.86, 1.2] },
      { kind: "lamp", radius: [11, 16], strength: [0.7, 1.1], ambient: 0.12, colour: [1.1, 0.95, 0.7] },
      { kind: "noise", shot: [0.03, 0.05], read: [0.02, 0.035], defects: 0.001 },
    ],
  },
  {
    name: "fog",
    summary: "grey veil, thicker towards the top",
    scene: {},
    effects: [{ kind: "fog", density: [0.4, 1], colour: [0.76, 0.78, 0.8] }, CAMERA],
  },
  {
    name: "rain",
    summary: "streaks over a dull picture",
    scene: { light: { gain: [0.65, 0.85], gradient: [0, 0.2], shadow: [0, 0.1] } },
    effects: [{ kind: "rain", drops: [30, 60], length: [4, 9], opacity: 0.55, veil: 0.25 }, CAMERA],
  },
  {
    name: "square-snow",
    summary: "opaque grey squares (PatchLine's drift)",
    scene: {},
    effects: [CAMERA, { kind: "squares", level: [1500, 3500], grey: 210 / 255 }],
  },
  {
    name: "glare",
    summary: "a light source in view",
    scene: {},
    effects: [
      { kind: "glare", strength: [0.5, 0.9], radius: [9, 15], veil: [0.1, 0.25], colour: [1, 0.96, 0.86] },
      CAMERA,
    ],
  },
  {
    name: "low-contrast",
    summary: "a dirty lens: everything near one grey",
    scene: {},
    effects: [{ kind: "contrast", factor: [0.25, 0.5], lift: [-0.05, 0.1] }, CAMERA],
  },
  {
    name: "blur",
    summary: "out of focus and shaken",
    scene: {},
    effects: [{ kind: "blur", sigma: [0.9, 1.5] }, { kind: "motion", length: [2, 4] }, CAMERA],
  },
  {
    name: "sensor-noise",
    summary: "high gain: shot and read noise, dead and hot pixels",
    scene: {},
    effects: [{ kind: "noise", shot: [0.1, 0.18], read: [0.05, 0.09], defects: 0.01 }],
  },
  {
    name: "new-background",
    summary: "grounds that the source never shows",
    scene: { backgrounds: ["plasma", "checker", "stripes", "pebbles", "leaves"], contrast: [0.35, 0.55] },
    effects: [CAMERA],
  },
  {
    name: "subpopulation",
    summary: "thin violet strokes, and three classes in place of ten make up most of the stream",
    scene: { families: ["violet"], strokes: ["thin"], labelWeights: [1, 1, 8, 1, 1, 8, 1, 8, 1, 1] },
    effects: [CAMERA],
  },
];
