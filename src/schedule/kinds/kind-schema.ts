import { z } from "zod";
import { LimberError } from "../../base/index.js";

const count = z.int().min(1);

const kind = z.strictObject({
  name: z.string().regex(/^[\w-]+$/, "letters, digits, - and _"),
  /** A master learns by ElasticDNN, any other model by patches. Paths are relative to the file. */
  model: z.string(),
  /** Fields of a preprocessing, a preset among them; they win over what the model says. */
  preprocessing: z.record(z.string(), z.unknown()).optional(),
  /** A data set, and how it is read. */
  data: z.string(),
  record: z.array(z.string()).optional(),
  domainsBy: z.string().optional(),
  classes: z.array(z.string()).optional(),
  format: z
    .enum(["csv", "coco", "voc", "yolo", "masks", "npz", "npy", "idx", "records", "folders", "pictures"])
    .optional(),
  layout: z.enum(["class", "domain"]).optional(),
  /** The domain that the model knows, none of whose pictures trained it. Default: the first. */
  source: z.string().optional(),
  /** What cameras show: `dusk`, `fog 4`, `dusk, fog 4`. */
  drifts: z.array(z.string()).min(1),
  /** What estimates are fitted on: other corruptions. Default: all published ones that cameras do not show. */
  validation: z.array(z.string()).min(1).optional(),
  /** Of a master. */
  sparsities: z.array(z.number().min(0).lt(1)).min(1).default([0.8, 0.4, 0]),
  batchSize: z.int().min(2).default(32),
  camera: z.strictObject({ fps: z.number().positive(), pictures: count, images: count.default(64) }),
  recording: z
    .strictObject({ steps: z.array(z.int().min(0)).default([0, 4, 10, 20]), pool: count, held: count })
    .refine(
      ({ steps }) => steps.length > 1 && steps[0] === 0 && steps.every((step, i) => i === 0 || step > steps[i - 1]!),
      {
        message: "two steps or more that rise from 0",
      },
    )
    .default({ steps: [0, 4, 10, 20], pool: 64, held: 96 }),
});

const kindSetSchema = z.strictObject({
  /** Name of the world, in rows and charts. */
  world: z.string().min(1),
  kinds: z
    .array(kind)
    .min(1)
    .refine((kinds) => new Set(kinds.map(({ name }) => name)).size === kinds.length, "kinds of different names"),
});

/** A kind of app, as a file describes it. */
export type DescribedKind = Readonly<z.output<typeof kind>>;
export type DescribedKindSet = Readonly<z.output<typeof kindSetSchema>>;

/** Throws: `config.invalid`, naming the first field that is wrong. */
export function checkKindSet(value: unknown, source: string): DescribedKindSet {
  const found = kindSetSchema.safeParse(value);
  if (found.success) return found.data;
  const [issue] = found.error.issues;
  const message = `apps "${source}": a world and its kinds, got ${issue!.path.join(".")}: ${issue!.message}; docs/scheduler.md shows one`;
  throw new LimberError("config.invalid", message, { source });
}
