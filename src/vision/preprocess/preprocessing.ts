import { z } from "zod";
import { LimberError } from "../../base/index.js";

/** The key of a model's metadata under which its preprocessing travels. */
export const PREPROCESSING_KEY = "limber.preprocessing";

const IMAGENET = { color: "RGB", scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** Known recipes. A preset fills fields; fields given beside it win. */
export const PREPROCESSING_PRESETS = {
  /** torchvision's classifiers: the centre of the image. */
  imagenet: { ...IMAGENET, resize: "shortest", cropRatio: 0.875 },
  /** CIFAR models trained with ImageNet's statistics: the whole image. */
  cifar: { ...IMAGENET, resize: "stretch" },
  /** TensorFlow's MobileNets: levels from -1 to 1. */
  tensorflow: { color: "RGB", resize: "stretch", scale: 1, mean: [127.5], std: [127.5] },
} as const;

export type PreprocessingPreset = keyof typeof PREPROCESSING_PRESETS;

const PRESET_NAMES = Object.keys(PREPROCESSING_PRESETS) as [PreprocessingPreset, ...PreprocessingPreset[]];
const side = z.int().min(1).max(16_384);
/** One number for all channels, or one for each in the order of the model's channels. */
const perChannel = z.union([z.number().transform((value) => [value]), z.array(z.number()).min(1).max(3)]);

const fields = z.strictObject({
  width: side,
  height: side,
  layout: z.enum(["NCHW", "NHWC"]).default("NCHW"),
  color: z.enum(["RGB", "BGR", "GRAY"]).default("RGB"),
  /** `stretch`: to the size, whatever the aspect. `shortest`: scale, then cut out the centre. `none`: accept only that size. */
  resize: z.enum(["stretch", "shortest", "none"]).default("stretch"),
  /** For `shortest`: how much of the scaled image the cut takes, 0.875 for the usual 224 out of 256. */
  cropRatio: z.number().gt(0).max(1).default(1),
  interpolation: z.enum(["nearest", "bilinear", "bicubic", "lanczos"]).default("bilinear"),
  /** Multiplies grey levels 0 to 255, before mean and deviation. */
  scale: z
    .number()
    .positive()
    .default(1 / 255),
  mean: perChannel.default([0]),
  std: perChannel.refine((values) => values.every((value) => value > 0), "positive deviations expected").default([1]),
});

/**
 * How a picture becomes numbers: brought to size, channels put in order, then `(level * scale - mean) / std`.
 * Plain data that travels with a model.
 */
export type Preprocessing = Readonly<z.output<typeof fields>>;

const preprocessingSchema = fields.superRefine(({ color, mean, std }, context) => {
  for (const [path, { length }] of Object.entries({ mean, std })) {
    const message = `1${color === "GRAY" ? "" : " or 3"} numbers expected for ${color}, got ${length}`;
    if (length !== 1 && length !== channelsOf({ color })) context.addIssue({ code: "custom", path: [path], message });
  }
});

/** Any of the fields, and the name of a preset that supplies others. */
const partialSchema = z.strictObject({ ...fields.partial().shape, preset: z.enum(PRESET_NAMES).optional() });

export type PartialPreprocessing = z.input<typeof partialSchema>;
export type PreprocessingFields = Readonly<Partial<z.input<typeof fields>>>;

export const channelsOf = ({ color }: Pick<Preprocessing, "color">): 1 | 3 => (color === "GRAY" ? 1 : 3);

/** Checks a value and fills in what it leaves open; `source` is named in the error. Throws: `config.invalid`. */
export function parsePreprocessing(value: unknown, source = "preprocessing"): Preprocessing {
  return check(preprocessingSchema, expandPreset(value, source), source);
}

/** Checks some fields without filling in others, except from a preset. Throws: `config.invalid`. */
export function expandPreset(value: unknown, source = "preprocessing"): PreprocessingFields {
  check(partialSchema, value, source);
  const { preset, ...given } = value as PartialPreprocessing;
  const present = Object.fromEntries(
    Object.entries(given).filter(([, field]) => field !== undefined),
  ) as PreprocessingFields;
  return preset === undefined ? present : ({ ...PREPROCESSING_PRESETS[preset], ...present } as PreprocessingFields);
}

function check<T>(schema: z.ZodType<T>, value: unknown, source: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => [...path, message].join(": ")).join("; ");
  const known = Object.keys(fields.shape).join(", ");
  throw new LimberError(
    "config.invalid",
    `${source}: preprocessing expected, got ${problems}; known fields are ${known} and preset`,
    { source },
  );
}

/** The entry of a model's metadata that says how to prepare its input. */
export const preprocessingToMetadata = (preprocessing: Preprocessing): [key: string, json: string] => [
  PREPROCESSING_KEY,
  JSON.stringify(preprocessing),
];

/** What a model says about its input, if it does. Throws: `config.invalid`. */
export function preprocessingFromMetadata(metadata: ReadonlyMap<string, string>): PreprocessingFields | undefined {
  const json = metadata.get(PREPROCESSING_KEY);
  return json === undefined
    ? undefined
    : expandPreset(parseJson(json, `metadata ${PREPROCESSING_KEY}`), `metadata ${PREPROCESSING_KEY}`);
}

/** Throws: `config.invalid`. */
export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new LimberError(
      "config.invalid",
      `${source}: JSON expected, got other text; correct or remove it`,
      { source },
      { cause: error },
    );
  }
}
