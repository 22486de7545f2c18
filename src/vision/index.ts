export { augmentBatch, type AugmentOptions } from "./augment.js";
export * from "./corrupt/index.js";
export * from "./data/batches.js";
export {
  blockDomain,
  blockOf,
  imageAt,
  joinDomains,
  selectSamples,
  type BlockSource,
  type ImageBlock,
} from "./data/block.js";
export { readNpy, readNpyHeader, writeNpy, type NpyHeader } from "./data/npy.js";
export * from "./data/read-dataset.js";
export { DATASET_READERS } from "./data/readers/index.js";
export * from "./data/readers/reader.js";
export { keepFitted } from "./data/keep-fitted.js";
export { lessonsOf, type Lessons } from "./data/lessons.js";
export { drawDirichlet } from "./data/sampler.js";
export { splitByTag } from "./data/split-by-tag.js";
export * from "./data/stream.js";
export * from "./data/truth.js";
export * from "./data/types.js";
export {
  decodeFile,
  decodeImage,
  encodeImage,
  IMAGE_EXTENSIONS,
  IMAGE_LIMITS,
  type ImageLimits,
} from "./image/decode.js";
export { levelsOf } from "./image/levels.js";
export { fitImage, fitTruth, unfitTruth } from "./preprocess/fit.js";
export { scaleMask } from "./preprocess/resize-mask.js";
export {
  channelsOf,
  parsePreprocessing,
  PREPROCESSING_KEY,
  PREPROCESSING_PRESETS,
  preprocessingFromMetadata,
  preprocessingToMetadata,
  type PartialPreprocessing,
  type Preprocessing,
  type PreprocessingFields,
  type PreprocessingPreset,
} from "./preprocess/preprocessing.js";
export * from "./preprocess/resolve.js";
export { writePixels } from "./preprocess/write-pixels.js";
export { classification } from "./tasks/classification/classification.js";
export * from "./tasks/detection/index.js";
export { readTaskRecord, TASK_KEY, writeTaskRecord, type HeadRecord, type TaskRecord } from "./tasks/metadata.js";
export { imageEntropies, likeliestClasses, placeEntropies } from "./tasks/places.js";
export { TASK_TABLE, taskOf } from "./tasks/registry.js";
export { createSegmentation, segmentation, type SegmentationOptions } from "./tasks/segmentation/segmentation.js";
export * from "./tasks/task.js";
export { applyView, drawView, type ColourChange, type View, type ViewOptions } from "./views.js";
export * from "./world/index.js";
