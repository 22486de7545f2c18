import { join } from "node:path";
import { stemOf } from "../../files.js";
import { fileDomain } from "../file-domain.js";
import { UNLABELLED } from "../types.js";
import { isImage } from "./folders.js";
import type { DatasetReader } from "./reader.js";

/** Pictures right in a folder, as a camera leaves them: nothing is labelled, which is enough to adapt by methods that need no label. */
export const picturesReader: DatasetReader = {
  format: "pictures",
  reads: "pictures without labels, *.jpg",
  detects: ({ files, folders }) => folders.length === 0 && files.some(isImage),

  read(root, { limits }) {
    const name = stemOf(root.path);
    const paths = root.files.filter(isImage).map((file) => join(root.path, file));
    const labels = new Int32Array(paths.length).fill(UNLABELLED);
    return Promise.resolve({ name, classes: [], domains: [fileDomain({ name, paths, labels, limits: limits.image })] });
  },
};
