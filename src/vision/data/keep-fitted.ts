import { LimberError } from "../../base/index.js";
import { fitImage, fitTruth } from "../preprocess/fit.js";
import type { Preprocessing } from "../preprocess/preprocessing.js";
import type { Size } from "../preprocess/window.js";
import type { Truth } from "./truth.js";
import type { Domain, Reading } from "./types.js";

/** A reading brought to size, and the size that it had. */
interface Fitted {
  readonly reading: Reading;
  readonly before: Size | undefined;
}

/**
 * The same domain, with images and their truth kept in memory once they were decoded and brought to size, for work that reads them
 * many times. When `maximumBytes` are held, further ones are read anew each time.
 */
export function keepFitted(domain: Domain, preprocessing: Preprocessing, maximumBytes = 2 ** 29): Domain {
  let heldBytes = 0;
  const keep = <T>(load: (index: number) => Promise<T>, sizeOf: (value: T) => number) => {
    const kept = new Map<number, T>();
    return async (index: number): Promise<T> => {
      const known = kept.get(index);
      if (known !== undefined) return known;
      const value = await load(index);
      const sizeBytes = sizeOf(value);
      if (heldBytes + sizeBytes <= maximumBytes) {
        if (!kept.has(index)) heldBytes += sizeBytes;
        kept.set(index, value);
      }
      return value;
    };
  };
  const fitted = keep(
    async (index): Promise<Fitted> => {
      const reading = await domain.read(index);
      if ("unreadable" in reading) return { reading, before: undefined };
      const { width, height } = reading.image;
      return { reading: await fitImage(reading.image, preprocessing), before: { width, height } };
    },
    ({ reading }) => ("image" in reading ? reading.image.data.byteLength : 0),
  );
  const truth = keep(
    async (index): Promise<Truth> => {
      const { reading, before } = await fitted(index);
      if ("image" in reading) return fitTruth(await domain.truth!(index), before!, preprocessing);
      const message = `${domain.pathOf(index)}: a picture that can be read expected, got ${reading.unreadable}; leave it out`;
      throw new LimberError("data.invalid", message);
    },
    ({ mask }) => mask?.data.byteLength ?? 0,
  );
  return {
    name: domain.name,
    samples: domain.samples,
    label: (index) => domain.label(index),
    pathOf: (index) => domain.pathOf(index),
    tags: (index) => domain.tags?.(index) ?? [],
    read: async (index) => (await fitted(index)).reading,
    ...(domain.truth && { truth }),
  };
}
