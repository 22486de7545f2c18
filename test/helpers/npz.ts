import { readFileSync } from "node:fs";
import { unzipSync } from "fflate";
import type { Tensor } from "../../src/base/index.js";
import { readNpy } from "../../src/vision/index.js";

/** The arrays of an .npz file by their keys. */
export function readNpzFile(path: string): Map<string, Tensor> {
  const files = unzipSync(readFileSync(path));
  return new Map(
    Object.entries(files).map(([name, bytes]) => [name.replace(/\.npy$/, ""), readNpy(bytes, `${path}/${name}`)]),
  );
}
