import { dirname } from "node:path";
import { unzip, type UnzipFileInfo } from "fflate";
import { isLimberError, LimberError } from "../../../base/index.js";
import { blockDomain, blockOf } from "../block.js";
import { readBytes, stemOf, tooLarge } from "../../files.js";
import { classesOf, findClasses } from "../classes.js";
import { readNpy } from "../npy.js";
import type { DatasetReader } from "./reader.js";
import { readLabels } from "./npy.js";

/** Keys of images and what their labels are called; a suffix names the domain: `x_train` goes with `y_train`. */
const PAIRS: Readonly<Record<string, string>> = { images: "labels", x: "y" };
const IMAGES_KEY = /^(images|x)(?:_(.+))?\.npy$/;

/** NumPy archives with `images` and `labels`, or `x` and `y`, or several such pairs with a suffix each. */
export const npzReader: DatasetReader = {
  format: "npz",
  reads: "a .npz archive with images and labels, or x and y",
  detects: ({ path, isFolder }) => !isFolder && path.endsWith(".npz"),

  async read({ path }, context) {
    const { fileBytes } = context.limits;
    const arrays = await unzipArrays(await readBytes(path, fileBytes), path, fileBytes);
    const found = [...arrays.keys()].flatMap((key) => {
      const [, images = "", suffix] = IMAGES_KEY.exec(key) ?? [];
      const labelsKey = `${PAIRS[images]}${suffix === undefined ? "" : `_${suffix}`}.npy`;
      return arrays.has(labelsKey) ? [{ key, labelsKey, name: suffix ?? stemOf(path) }] : [];
    });
    if (found.length === 0) {
      const keys = [...arrays.keys()].map((key) => stemOf(key)).join(", ") || "nothing";
      throw new LimberError(
        "data.invalid",
        `${path}: arrays named images and labels, or x and y, expected, got ${keys}; save them under those names`,
        { path },
      );
    }
    const labels = found.map(({ labelsKey }) =>
      readLabels(readNpy(arrays.get(labelsKey)!, `${path}:${labelsKey}`), `${path}:${labelsKey}`),
    );
    const classes = classesOf(context.classes ?? (await findClasses(dirname(path))), labels, path);
    const domains = found.map(({ key, name }, i) => {
      const at = `${path}:${key}`;
      const block = blockOf(readNpy(arrays.get(key)!, at), at);
      if (block.count !== labels[i]!.length) {
        throw new LimberError(
          "data.invalid",
          `${at}: ${labels[i]!.length} images expected from the labels, got ${block.count}; give every image a label`,
          { path },
        );
      }
      return blockDomain({ name, labels: labels[i]!, path: at, block });
    });
    return { name: stemOf(path), classes, domains };
  },
};

/** Unpacks the arrays of an archive, refusing one that would unpack to more than `maximumBytes`. */
function unzipArrays(bytes: Uint8Array, path: string, maximumBytes: number): Promise<Map<string, Uint8Array>> {
  let unpackedBytes = 0;
  const filter = ({ name, originalSize }: UnzipFileInfo): boolean => {
    if (!name.endsWith(".npy")) return false;
    unpackedBytes += originalSize;
    if (unpackedBytes > maximumBytes) throw tooLarge(path, unpackedBytes, maximumBytes);
    return true;
  };
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      const invalid = new LimberError(
        "data.invalid",
        `${path}: a zip archive expected, got damaged bytes; write it with numpy.savez`,
        { path },
        { cause: error },
      );
      reject(isLimberError(error) ? error : invalid);
    };
    try {
      unzip(bytes, { filter }, (error, files) => (error ? fail(error) : resolve(new Map(Object.entries(files)))));
    } catch (error) {
      fail(error);
    }
  });
}
