import { LimberError, Random } from "../../base/index.js";
import type { Image } from "../image/types.js";
import { toField, toImage } from "./field.js";
import { CORRUPTIONS, corruptionNames, isCorruptionName, type CorruptionName } from "./registry.js";
import { CORRUPTION_FAMILIES, SEVERITIES, type Corruption, type CorruptionFamily, type Severity } from "./types.js";

export interface CorruptOptions {
  /** A seed, or a stream to draw from. The same seed and image give the same bytes; give each image its own. */
  readonly random: Random | number;
  /** Whose parameters to use; by default those tuned for the nearer size. */
  readonly family?: CorruptionFamily | undefined;
}

const CIFAR_LARGEST_SIDE = 64;

/** The parameter table that fits an image of this size. */
export const inferFamily = (image: Pick<Image, "width" | "height">): CorruptionFamily =>
  Math.max(image.width, image.height) <= CIFAR_LARGEST_SIDE ? "cifar" : "imagenet";

const refuse = (subject: string, expected: string, got: unknown): never => {
  throw new LimberError("config.invalid", `${subject}: ${expected}, got ${JSON.stringify(got)}`);
};

/**
 * Corrupts an image as CIFAR-10-C and ImageNet-C do. Returns a new image; asynchronous because JPEG encoding is.
 * Cost: below a millisecond for most at 32 pixels; at 224 up to half a second (`elastic_transform` at severity 1).
 * Throws: `config.invalid` for an unknown name, severity or family, `data.invalid` for bytes that do not fill the image.
 */
export async function corrupt(
  image: Image,
  name: CorruptionName,
  severity: Severity,
  options: CorruptOptions,
): Promise<Image> {
  const { random, family = inferFamily(image) } = options;
  if (!isCorruptionName(name)) return refuse("corruption", `one of ${corruptionNames().join(", ")}`, name);
  if (!SEVERITIES.includes(severity)) return refuse("severity", "a whole number from 1 to 5", severity);
  if (!CORRUPTION_FAMILIES.includes(family))
    return refuse("corruption family", `one of ${CORRUPTION_FAMILIES.join(", ")}`, family);
  const { width, height, channels, data } = image;
  if (data.length === 0 || data.length !== width * height * channels) {
    throw new LimberError(
      "data.invalid",
      `image: ${width} x ${height} x ${channels} bytes, at least one, got ${data.length}`,
    );
  }
  const entry: Corruption = CORRUPTIONS[name];
  const stream = typeof random === "number" ? new Random(random) : random;
  return toImage(await entry.apply(toField(image), entry.parameters[family][severity - 1]!, stream));
}
