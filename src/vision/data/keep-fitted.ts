import { fitImage } from "../preprocess/fit.js";
import type { Preprocessing } from "../preprocess/preprocessing.js";
import type { Domain, Reading } from "./types.js";

/**
 * The same domain, with images kept in memory once they were decoded and brought to size, for work that reads them many times.
 * When `maximumBytes` are held, further images are read anew each time.
 */
export function keepFitted(domain: Domain, preprocessing: Preprocessing, maximumBytes = 2 ** 29): Domain {
  const kept = new Map<number, Reading>();
  let heldBytes = 0;
  const read = async (index: number): Promise<Reading> => {
    const known = kept.get(index);
    if (known !== undefined) return known;
    const reading = await domain.read(index);
    const fitted = "image" in reading ? await fitImage(reading.image, preprocessing) : reading;
    const sizeBytes = "image" in fitted ? fitted.image.data.byteLength : 0;
    if (heldBytes + sizeBytes <= maximumBytes) {
      if (!kept.has(index)) heldBytes += sizeBytes;
      kept.set(index, fitted);
    }
    return fitted;
  };
  return {
    name: domain.name,
    samples: domain.samples,
    label: (index) => domain.label(index),
    pathOf: (index) => domain.pathOf(index),
    tags: (index) => domain.tags?.(index) ?? [],
    read,
  };
}
