import { fileURLToPath } from "node:url";
import { readModelFile } from "../../run/node.js";
import {
  corruptionNames,
  createWorld,
  parsePreprocessing,
  preprocessingFromMetadata,
  SEVERITIES,
  WORLD_DOMAINS,
  nameShift,
  parseShift,
  type Shift,
  shiftDomain,
} from "../../vision/index.js";
import type { RecordedDrift } from "../record/record-trace.js";
import type { AppKind, KindSet, Recording } from "./app-kind.js";
import { openModelApp } from "./open-kind.js";

interface WorldPlan extends Recording {
  readonly model: string;
  /** Of a master. */
  readonly sparsities?: readonly number[];
}

/** A score of boxes or masks takes longer than one of classes. */
const DENSE = { steps: [0, 4, 10, 20], pool: 64, held: 128 };
const PLANS: Readonly<Record<string, WorldPlan>> = {
  classification: {
    ...{ model: "schedule/classification", sparsities: [0.8, 0.6, 0.4, 0] },
    ...{ steps: [0, 2, 5, 10, 20, 40], pool: 96, held: 160 },
  },
  detection: { ...DENSE, model: "schedule/detection", sparsities: [0.8, 0.4, 0] },
  // the smallest networks in its master are of no use, see models/README.md
  segmentation: { ...DENSE, model: "schedule/segmentation", sparsities: [0.6, 0.4, 0.2, 0] },
  "patch-segmentation": { ...DENSE, model: "line/resnet-segmentation", steps: [0, 4, 12, 32], pool: 96 },
};

const [DAY, ...DRIFTS] = WORLD_DOMAINS.map(({ name }) => name);

/** Frames of a second, and pictures of a frame: together enough that sizes matter to a small device. */
const CAMERA = { fps: 8, pictures: 16, images: 256 };

/** Kinds of apps that come with Limber: they live in the embedded world, and know its day. */
export const WORLD_KINDS: KindSet = {
  world: "embedded world",
  kinds: Object.entries(PLANS).map(([name, plan]) => worldKind(name, plan)),
};

function worldKind(name: string, { model: file, sparsities: planned, ...recording }: WorldPlan): AppKind {
  const sourcePictures = (count: number) => createWorld().dataset("validation", count, [DAY!]).domains[0]!;
  return {
    ...{ name, source: DAY!, drifts: DRIFTS, camera: CAMERA, batchSize: 32, recording, sourcePictures },
    open: async ({ sparsities = planned, threads } = {}) => {
      const model = await readModelFile(fileURLToPath(new URL(`../../../models/${file}.onnx`, import.meta.url)));
      const preprocessing = parsePreprocessing(preprocessingFromMetadata(model.metadata));
      return openModelApp(name, model, { preprocessing, sparsities, threads });
    },
    pictures: (drift, { use, seed, count }) =>
      createWorld({ seed }).dataset(use === "frames" ? "test" : "train", count, [drift]).domains[0]!,
    recordedDrifts: (count) =>
      mix(
        createWorld()
          .dataset("test", count, DRIFTS)
          .domains.map((domain) => ({ name: domain.name, isValidation: false, domain })),
        SHIFTS.map((shift) => ({
          ...{ name: nameShift(shift), isValidation: true },
          domain: shiftDomain(sourcePictures(count), shift),
        })),
      ),
  };
}

/**
 * Some published corruptions at their strongest, without which estimates take every drift for a mild one; then each once, at severities in turn, and
 * those that masters were trained under, strong; then pairs, since drifts that models suffer most from change several things at once.
 */
const SHIFTS: readonly Shift[] = [
  ...["contrast 4", "fog 5", "frost 5", "brightness 5", "snow 5", "impulse_noise 5"].map(parseShift),
  ...corruptionNames("reported").map((name, i): Shift => [[name, SEVERITIES[(2 * i + 2) % SEVERITIES.length]!]]),
  ...corruptionNames("held-out").map((name): Shift => [[name, 5]]),
  ...[
    ...["fog 4, gaussian_noise 5", "brightness 5, contrast 3", "frost 5, motion_blur 5", "contrast 3, shot_noise 5"],
    ...["snow 5, fog 3", "saturate 5, contrast 4", "frost 5, fog 3", "brightness 5, zoom_blur 5"],
    ...["spatter 5, contrast 3", "snow 5, brightness 5", "elastic_transform 5, frost 4", "fog 5, brightness 4"],
  ].map(parseShift),
];

/** Both in turn, so that what is there early has some of each. */
function mix(a: readonly RecordedDrift[], b: readonly RecordedDrift[]): RecordedDrift[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => [a[i], b[i]])
    .flat()
    .filter((drift) => drift !== undefined);
}
