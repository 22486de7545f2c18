import { z } from "zod";
import { TECHNIQUES } from "../../patch/index.js";

/** What a contestant is: `frozen` never changes; `baseline` adapts otherwise; `ours` is PatchLine; an `ablation` lacks a part of it, or has one alone. */
export const PATCH_KINDS = ["frozen", "baseline", "ours", "ablation"] as const;

/** Where steps run: in Node.js on the processor, or in a browser on WebAssembly. */
export const PLATFORMS = ["node", "wasm"] as const;
export type Platform = (typeof PLATFORMS)[number];

const share = z.number().min(0).max(1);
const count = z.int().min(0);

/** One contestant, on one model, after one drift. */
export const patchRow = z.strictObject({
  /** Stands for models, data and options: rows of the same run can be compared. */
  run: z.string(),
  dataset: z.string(),
  backbone: z.string(),
  platform: z.literal(PLATFORMS),
  task: z.string(),
  metric: z.string(),
  contestant: z.string(),
  kind: z.literal(PATCH_KINDS),
  seed: count,
  /** Of the drift in the sequence. */
  position: count,
  drift: z.string(),
  testImages: count,
  /** Of the model as it was trained, and of what serves after the drift, on test images. */
  sourceScore: share,
  score: share,
  /** Work by what it was spent on. Units: multiply-accumulates. */
  macs: z.record(z.literal(TECHNIQUES), z.number()),
  seconds: z.number(),
  /** Passes over the samples, all courses together. */
  epochs: count,
  steps: count,
  samples: count,
  /** Patches at the end; null where the contestant has none. */
  patches: count.nullable(),
  /** Where they started. */
  start: z.string().nullable(),
  accepted: z.boolean(),
});
export type PatchRow = Readonly<z.output<typeof patchRow>>;

/** All work of a row. */
export const macsOf = ({ macs }: PatchRow): number => Object.values(macs).reduce((sum, value) => sum + value, 0);

/** A row as a line of a table. */
export const flattenPatch = ({ macs, ...row }: PatchRow): Record<string, string | number | boolean | null> => ({
  ...row,
  ...Object.fromEntries(Object.entries(macs).map(([technique, value]) => [`${technique}Macs`, value])),
});
