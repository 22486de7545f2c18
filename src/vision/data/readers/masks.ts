import { dirname, join } from "node:path";
import { CsvError, parse } from "csv-parse/sync";
import { LimberError, throwIfAborted } from "../../../base/index.js";
import { exists, readBytes, stemOf, type Place } from "../../files.js";
import { readMask } from "../../image/decode-mask.js";
import type { ImageLimits } from "../../image/decode.js";
import { findClasses } from "../classes.js";
import { fileDomain } from "../file-domain.js";
import { IGNORED, type Truth } from "../truth.js";
import { UNLABELLED } from "../types.js";
import { MASK_LAYOUTS, type MaskLayout, type Pair } from "./mask-layouts.js";
import type { DatasetReader, ReaderContext } from "./reader.js";

/** A name that says so, such as `Unlabelled(ignore)`, stands for pixels that do not count. */
const isIgnored = (name: string): boolean => /\(ignored?\)$/i.test(name);

/**
 * Pictures with a mask of classes for each: CamVid's `images` and `labels`, VOC's `JPEGImages` and `SegmentationClass`, Cityscapes.
 * Numbers that are no class, or a class named `…(ignore)`, count as `IGNORED`. Class names come from the list given, `classes.txt`
 * or the data set that the layout belongs to; without any, all masks are read once to number them. `frames.tsv` beside the folders
 * or above them, with a column `file`, adds its other columns as tags, `light=dusk`.
 */
export const masksReader: DatasetReader = {
  format: "masks",
  reads: "pictures and masks, images/*.jpg and labels/*.png, VOC's SegmentationClass or Cityscapes",
  detects: async (place) => (await findLayout(place)) !== undefined,

  async read(place, context) {
    const layout = await findLayout(place);
    if (layout === undefined) {
      const message = `${place.path}: images and labels, JPEGImages and SegmentationClass, or leftImg8bit and gtFine expected, got none; check the path`;
      throw new LimberError("data.invalid", message, { path: place.path });
    }
    const pairs = await layout.pairs(place);
    const names =
      context.classes ?? (await findClasses(place.path)) ?? layout.classes ?? (await numberClasses(pairs, context));
    const classes = names.slice(0, names.findLastIndex((name) => !isIgnored(name)) + 1);
    const table = Uint8Array.from({ length: 256 }, (_, stored) => {
      const label = layout.classOf?.(stored) ?? stored;
      return label < classes.length && !isIgnored(classes[label]!) ? label : IGNORED;
    });
    const frames = await readFrames(place.path, context.limits.fileBytes);
    const domains = [...new Set(pairs.map(({ domain }) => domain))].map((name) =>
      maskDomain(
        name,
        pairs.filter(({ domain }) => domain === name),
        { table, frames, limits: context.limits.image },
      ),
    );
    return { name: stemOf(place.path), classes, domains };
  },
};

async function findLayout(place: Place): Promise<MaskLayout | undefined> {
  for (const layout of MASK_LAYOUTS) if (await layout.detects(place)) return layout;
  return undefined;
}

interface MaskSource {
  /** The class of each stored number. */
  readonly table: Uint8Array;
  readonly frames: ReadonlyMap<string, readonly string[]>;
  readonly limits: ImageLimits;
}

const maskDomain = (name: string, pairs: readonly Pair[], { table, frames, limits }: MaskSource) =>
  fileDomain({
    name,
    paths: pairs.map(({ image }) => image),
    labels: new Int32Array(pairs.length).fill(UNLABELLED),
    limits,
    tags: (index) => [...pairs[index]!.tags, ...(frames.get(stemOf(pairs[index]!.image)) ?? [])],
    truth: async (index): Promise<Truth> => {
      const { width, height, data } = await readMask(pairs[index]!.mask, limits);
      return { mask: { width, height, data: data.map((stored) => table[stored]!) } };
    },
  });

/** "0", "1", … up to the largest number in any mask, 255 apart. Cost: reads every mask. Masks that cannot be read are told of later. */
async function numberClasses(pairs: readonly Pair[], { limits, signal }: ReaderContext): Promise<string[]> {
  let count = 0;
  for (const { mask } of pairs) {
    throwIfAborted(signal);
    const { data } = await readMask(mask, limits.image).catch(() => ({ data: new Uint8Array(0) }));
    for (const stored of data) if (stored !== IGNORED) count = Math.max(count, stored + 1);
  }
  return Array.from({ length: count }, (_, label) => String(label));
}

/** Tags by the name of the picture without its ending. Throws: `data.invalid`. */
async function readFrames(folder: string, maximumBytes: number): Promise<ReadonlyMap<string, readonly string[]>> {
  for (const path of [join(folder, "frames.tsv"), join(dirname(folder), "frames.tsv")]) {
    if (await exists(path)) return parseFrames(Buffer.from(await readBytes(path, maximumBytes)), path);
  }
  return new Map();
}

function parseFrames(text: Buffer, path: string): ReadonlyMap<string, readonly string[]> {
  try {
    const columns = { bom: true, columns: true, delimiter: "\t", skip_empty_lines: true, quote: false } as const;
    const rows = parse<Record<string, string>>(text, columns);
    return new Map(
      rows.map(({ file, ...others }, row) => {
        if (!file)
          throw new LimberError(
            "data.invalid",
            `${path}: a column "file" expected, got none in row ${row + 1}; correct it`,
          );
        return [stemOf(file), Object.entries(others).map(([column, value]) => `${column}=${value}`)] as const;
      }),
    );
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const message = `${path}: tab-separated columns with a header expected, got "${cause.message}"; correct that line`;
    throw new LimberError("data.invalid", message, { path }, { cause });
  }
}
