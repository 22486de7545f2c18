import { evaluate, evaluateTask } from "../../../src/adapt/index.js";
import type { Model } from "../../../src/graph/index.js";
import { type Batch, type Machine, Predictor } from "../../../src/run/node.js";
import { batches, detection, type Domain, parsePreprocessing, writeTaskRecord } from "../../../src/vision/index.js";
import { camvid, cocoPhotos } from "./data.js";
import type { Classifier, Detector, Figure, RealModel, Segmenter } from "./models.js";
import { Confusion, mostLikely, resizeLabels } from "./segmentation.js";

/** What was found, beside what others found. Units: percent. */
export interface Measurement extends Figure {
  readonly found: number;
  readonly unit: "top-1" | "mIoU" | "mAP50";
  readonly images: number;
}

/** Measures everything that there is a figure for. */
export async function measure(real: RealModel, model: Model, machine: Machine, data: string): Promise<Measurement[]> {
  const predictor = await Predictor.create(machine, model);
  const found: Measurement[] = [];
  if (real.task === "classification")
    for (const [domain, figure] of await real.domains(data)) found.push(await topOne(real, predictor, domain, figure));
  if (real.task === "segmentation")
    for (const light of ["day", "dusk"] as const) found.push(await meanIoU(real, predictor, data, light));
  if (real.task === "detection") found.push(await averagePrecision(real, predictor, model, data));
  await predictor.dispose();
  return found;
}

async function topOne(real: Classifier, predictor: Predictor, domain: Domain, figure: Figure): Promise<Measurement> {
  const preprocessing = parsePreprocessing(real.preprocessing);
  const { total, correct } = await evaluate(predictor, domain, { batchSize: 100, preprocessing });
  return { ...figure, found: (100 * correct) / total, unit: "top-1", images: total };
}

async function averagePrecision(
  real: Detector,
  predictor: Predictor,
  model: Model,
  data: string,
): Promise<Measurement> {
  const preprocessing = parsePreprocessing(real.preprocessing);
  const { domains, classes } = await cocoPhotos(data);
  const record = { task: "detection", classes, head: { kind: "fastestdet" } } as const;
  const head = detection.open(writeTaskRecord(model, record), preprocessing);
  const { value, samples } = await evaluateTask(predictor, head, domains[0]!, { batchSize: 16, preprocessing });
  return { ...real.figure, found: 100 * value, unit: "mAP50", images: samples };
}

async function meanIoU(
  real: Segmenter,
  predictor: Predictor,
  data: string,
  light: "day" | "dusk",
): Promise<Measurement> {
  const { images, labels } = camvid(data, light);
  const confusion = new Confusion(11);
  for await (const batch of batches(images, { batchSize: 2, preprocessing: parsePreprocessing(real.preprocessing) })) {
    const maps = mostLikely((await predictor.predict(batch.images)).output);
    for (const [i, map] of maps.entries()) {
      const classes = map.classes.map((output) => real.classes[output]!);
      confusion.add(await labels(batch.indices[i]!), { ...map, classes });
    }
  }
  return { ...real.figures[light], found: 100 * confusion.meanIoU(), unit: "mIoU", images: images.samples };
}

/** The first batch of a model's own data, with labels where it has any; noise where it has no data. */
export async function firstBatch(real: RealModel, data: string, noise: Batch): Promise<Batch> {
  const { batchSize } = real;
  if (real.task === "none") return noise;
  // A segmenter of any size is trained on a quarter of the picture.
  const { width, height } = real.task === "segmentation" ? { width: 160, height: 120 } : real.preprocessing;
  const preprocessing = parsePreprocessing({ ...real.preprocessing, width, height });
  const day = camvid(data, "day");
  const images =
    real.task === "classification"
      ? (await real.domains(data))[0]![0]
      : real.task === "segmentation"
        ? day.images
        : (await cocoPhotos(data)).domains[0]!;
  for await (const batch of batches(images, { batchSize, preprocessing })) {
    if (real.task === "detection") return { images: batch.images };
    const labels: number[] = [];
    if (real.task === "classification") labels.push(...batch.labels);
    else
      for (const index of batch.indices) {
        const map = resizeLabels(await day.labels(index), width, height);
        labels.push(...Array.from(map.classes, (label) => real.classes.indexOf(label)));
      }
    const dims = real.task === "classification" ? [batchSize] : [batchSize, height, width];
    return { images: batch.images, targets: { dtype: "int64", dims, data: BigInt64Array.from(labels, BigInt) } };
  }
  return noise;
}
