import { z } from "zod";
import { LimberError } from "../../base/index.js";
import type { Model } from "../../graph/index.js";
import { parseJson } from "../preprocess/preprocessing.js";

/** The key of a model's metadata under which its task travels. */
export const TASK_KEY = "limber.task";

const strides = z.array(z.int().min(1)).min(1).readonly();
const positives = z.array(z.number().positive()).min(1).readonly();

const headSchema = z.discriminatedUnion("kind", [
  /** Anchor-free: one box at each place of each level. */
  z.strictObject({ kind: z.literal("centre"), strides }),
  /** Prior boxes at each place of each level, one for each ratio. Source: SSD, Liu et al. 2016, arXiv:1512.02325, §2.2. */
  z.strictObject({
    kind: z.literal("ssd"),
    strides,
    /** √(width · height) of the priors of each level, as a share of the image's. */
    scales: positives,
    /** Width over height of the priors at each place. */
    ratios: positives,
    /** Divisors of offsets: of the centre across and down, of the logarithms of width and height. */
    variances: z.array(z.number().positive()).length(4).readonly().default([0.1, 0.1, 0.2, 0.2]),
  }),
  /** FastestDet: one level; objectness, box and classes are decoded in part already. */
  z.strictObject({ kind: z.literal("fastestdet") }),
]);

const recordSchema = z.strictObject({
  task: z.enum(["classification", "detection", "segmentation"]),
  /** Names in the order of labels. */
  classes: z.array(z.string()).readonly(),
  /** How the output of a detector is read. */
  head: headSchema.optional(),
});

/** What a detector says of its output. */
export type HeadRecord = Readonly<z.output<typeof headSchema>>;
export type HeadKind = HeadRecord["kind"];
/** What a model says about its task. Plain data that travels with it. */
export type TaskRecord = Readonly<z.input<typeof recordSchema>>;
export type CheckedTaskRecord = Readonly<z.output<typeof recordSchema>>;

/** What a model says about its task, if it does. Throws: `config.invalid`. */
export function readTaskRecord(model: Pick<Model, "metadata">): CheckedTaskRecord | undefined {
  const json = model.metadata.get(TASK_KEY);
  return json === undefined ? undefined : checkTaskRecord(parseJson(json, `metadata ${TASK_KEY}`));
}

/** The same model with this task in its metadata. Throws: `config.invalid`. */
export function writeTaskRecord(model: Model, record: TaskRecord): Model {
  const metadata = new Map(model.metadata).set(TASK_KEY, JSON.stringify(checkTaskRecord(record)));
  return { ...model, metadata };
}

function checkTaskRecord(value: unknown): CheckedTaskRecord {
  const result = recordSchema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => [...path, message].join(": ")).join("; ");
  throw new LimberError(
    "config.invalid",
    `metadata ${TASK_KEY}: task, classes and perhaps head expected, got ${problems}; correct it`,
  );
}
