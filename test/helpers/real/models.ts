import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { type Domain, type PartialPreprocessing, readDataset } from "../../../src/vision/index.js";
import { pictures } from "./data.js";

/** A figure that was measured elsewhere, on these images or on the set that they were drawn from. */
export interface Figure {
  readonly of: string;
  /** In percent, and how far a right implementation may be off on fewer images. */
  readonly expected: number;
  readonly tolerance: number;
}

interface Common {
  readonly path: string;
  readonly preprocessing: PartialPreprocessing & { readonly width: number; readonly height: number };
  readonly batchSize: number;
}
export interface Classifier extends Common {
  readonly task: "classification";
  /** Domains with labels, each with its figure. */
  readonly domains: (data: string) => Promise<readonly (readonly [Domain, Figure])[]>;
}
export interface Segmenter extends Common {
  readonly task: "segmentation";
  /** For each output the class of CamVid, 11 for none. */
  readonly classes: readonly number[];
  readonly figures: { readonly day: Figure; readonly dusk: Figure };
}
export interface Detector extends Common {
  readonly task: "detection";
  readonly figure: Figure;
}
/** A graph without data of its own. */
export interface Headless extends Common {
  readonly task: "none";
}
export type RealModel = Classifier | Segmenter | Detector | Headless;

const figure = (of: string, expected: number, tolerance: number): Figure => ({ of, expected, tolerance });

const cifar = (name: string, lossless: number | undefined, jpeg: Figure): Classifier => ({
  path: `cifar10_resnet/${name}_convshortcut.onnx`,
  preprocessing: { preset: "cifar", width: 32, height: 32 },
  batchSize: 8,
  task: "classification",
  domains: async (data) => {
    const clean = await readDataset(join(data, "cifar10c_lossless"), { domains: ["clean"] });
    const test = await readDataset(join(data, "cifar10/dev"), { domains: ["test_dev"] });
    return [
      ...(lossless === undefined ? [] : [[clean.domains[0]!, figure("lossless", lossless, 0.3)] as const]),
      [test.domains[0]!, jpeg],
    ];
  },
});

/** Files named `<class>_<words>.jpg`; outputs of these networks begin with a class for the background. */
function imagenetPhotos(data: string): Domain {
  const folder = join(data, "imagenet_photos/dev");
  const paths = readdirSync(folder).map((name) => join(folder, name));
  return pictures(
    paths,
    paths.map((path) => Number.parseInt(basename(path), 10) + 1),
  );
}

const tensorflow = (side: number) => ({ preset: "tensorflow", width: side, height: side }) as const;
const mobilenet = (name: string, side: number, top1: number): Classifier => ({
  path: `imagenet_mobilenets/mobilenet_v1_${name}.onnx`,
  preprocessing: tensorflow(side),
  batchSize: 8,
  task: "classification",
  domains: (data) => Promise.resolve([[imagenetPhotos(data), figure("1000 photos", top1, 13)]]),
});

const PACS = [
  ["photo", 93.6, 7],
  ["art_painting", 54.5, 5],
  ["cartoon", 24, 5],
  ["sketch", 24.5, 5],
] as const;

/** ESPNet divides by the deviation and then by 255. */
const espnet = (mean: number[], std: number[], width: number, height: number): Common["preprocessing"] => {
  return { color: "BGR", scale: 1, mean, std: std.map((value) => 255 * value), width, height };
};

export const REAL_MODELS: readonly RealModel[] = [
  cifar("resnet20_cifar10", 91.25, figure("JPEG test", 81.03, 1.6)),
  cifar("resnet20_cifar10_jpegft", undefined, figure("JPEG test", 86.9, 1.4)),
  cifar("resnet56_cifar10", undefined, figure("JPEG test", 83.2, 1.5)),
  mobilenet("025_128_bn", 128, 44),
  mobilenet("025_128_folded", 128, 44),
  mobilenet("050_160_bn", 160, 66.2),
  {
    path: "pacs_models/pacs_photo_mobilenetv1_050_160_bn.onnx",
    preprocessing: tensorflow(160),
    batchSize: 8,
    task: "classification",
    domains: async (data) => {
      const { domains } = await readDataset(join(data, "pacs/dev"), { domains: PACS.map(([name]) => name) });
      return domains.map((domain, i) => [domain, figure(PACS[i]![0], PACS[i]![1], PACS[i]![2])]);
    },
  },
  {
    path: "vww/mlperf_tiny_vww_mobilenetv1_025_96.onnx",
    preprocessing: { width: 96, height: 96, scale: 1 / 255 },
    batchSize: 8,
    task: "classification",
    domains: async (data) => {
      const { domains } = await readDataset(join(data, "vww/person_96.bin"), { record: ["3x96x96"] });
      return [[domains[0]!, figure("256 photos", 86.3, 6)]];
    },
  },
  {
    path: "seg_models/espnet_p2q8_camvid_480x360_bn.onnx",
    preprocessing: espnet([109.776, 107.813, 104.422], [72.188, 72.789, 70.005], 480, 360),
    batchSize: 2,
    task: "segmentation",
    classes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    figures: { day: figure("CamVid day", 54.6, 3), dusk: figure("CamVid dusk", 57.1, 3) },
  },
  {
    path: "seg_models/espnet_p2q3_cityscapes_bn.onnx",
    preprocessing: espnet([72.3923111, 82.90893555, 73.15840149], [45.3192215, 46.15289307, 44.91483307], 512, 384),
    batchSize: 2,
    task: "segmentation",
    classes: [3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 10, 10, 10, 11],
    figures: { day: figure("CamVid day", 33, 5), dusk: figure("CamVid dusk", 19.7, 5) },
  },
  {
    path: "det_models/fastestdet_coco_352_bn.onnx",
    preprocessing: { color: "BGR", scale: 1 / 255, width: 352, height: 352 },
    batchSize: 2,
    task: "detection",
    figure: figure("128 COCO photos", 35.6, 6),
  },
  {
    path: "graphs/version-slim-320.onnx",
    preprocessing: { scale: 1, mean: 127, std: 128, width: 320, height: 240 },
    batchSize: 1,
    task: "none",
  },
  {
    path: "graphs/light_shufflenet.onnx",
    preprocessing: { width: 224, height: 224 },
    batchSize: 1,
    task: "none",
  },
];
