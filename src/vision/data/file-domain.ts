import { decodeFile, type ImageLimits } from "../image/decode.js";
import type { Truth } from "./truth.js";
import type { Domain } from "./types.js";

/** What a domain of picture files is made of. */
export interface FileSource {
  readonly name: string;
  readonly paths: readonly string[];
  readonly labels: ArrayLike<number>;
  readonly limits: ImageLimits;
  tags?(index: number): readonly string[];
  truth?(index: number): Promise<Truth>;
}

/** A domain of picture files, each decoded when it is read. */
export function fileDomain({ name, paths, labels, limits, tags, truth }: FileSource): Domain {
  return {
    name,
    samples: paths.length,
    label: (index) => labels[index]!,
    read: (index) => decodeFile(paths[index]!, limits),
    pathOf: (index) => paths[index]!,
    ...(tags && { tags }),
    ...(truth && { truth }),
  };
}
