import { readFile, rm } from "node:fs/promises";
import { basename } from "node:path";
import { type EpochReport, train, type TrainingOptions } from "../../adapt/index.js";
import { LimberError, sameShape } from "../../base/index.js";
import {
  BACKBONES,
  buildNetwork,
  buildTaskNetwork,
  CLASSIFIERS,
  largestRows,
  lastLayersOf,
  type Model,
  parametersOf,
  prepareModel,
} from "../../graph/index.js";
import { fileError, readModelFile, writeFileAtomic } from "../../run/node.js";
import { type Dataset, type Domain, joinDomains, type TaskName, taskOf, TASKS } from "../../vision/index.js";
import { defineCommand, type FlagValues } from "../command.js";
import { createSkipNotes, DATA_FLAGS, openData } from "../data.js";
import { formatShare, formatSkipped, formatTable } from "../format.js";
import {
  hashFile,
  MODEL_FLAGS,
  openImageModel,
  type OpenModel,
  prepareImageModel,
  PREPROCESSING_FLAGS,
  runtimeOf,
} from "../model.js";
import { publishModel, stampModel } from "../publish.js";
import { TUNE_FLAGS, tuneSettingsOf } from "../tune.js";

const TRAIN_FLAGS = {
  network: {
    kind: "text",
    value: "name",
    help: `train from scratch: ${Object.keys(CLASSIFIERS).join(", ")}; input side by --size, default 32`,
  },
  task: {
    kind: "text",
    choices: TASKS,
    value: "name",
    help: `network: what it is for; it is then a backbone with a head: ${Object.keys(BACKBONES).join(", ")}`,
  },
  depth: { kind: "number", minimum: 1, help: "task network: how deep its backbone is (default: by backbone)" },
  width: {
    kind: "number",
    fraction: true,
    minimum: 0.05,
    maximum: 16,
    default: 1,
    help: "network: factor on every channel count",
  },
  start: {
    kind: "text",
    value: "file",
    help: "network: begin with the weights of this model, where names and shapes agree",
  },
  ...DATA_FLAGS,
  validation: { kind: "text", value: "path", help: "data to measure on after each epoch" },
  validationDomains: { kind: "list", help: "only these domains of it" },
  epochs: { kind: "number", minimum: 1, default: 10, help: "passes over the data" },
  batch: { kind: "number", minimum: 1, default: 64, help: "images per step" },
  lr: {
    kind: "number",
    fraction: true,
    minimum: 0,
    help: "learning rate at the start of the cosine (default: 0.05 for sgd, else 0.001)",
  },
  optimizer: { kind: "text", choices: ["sgd", "adam", "adamw"], value: "name", default: "sgd", help: "optimizer" },
  weightDecay: { kind: "number", fraction: true, minimum: 0, help: "weight decay (default: by optimizer)" },
  smoothing: { kind: "number", fraction: true, minimum: 0, maximum: 0.5, default: 0, help: "label smoothing" },
  last: {
    kind: "number",
    fraction: true,
    minimum: 0,
    maximum: 1,
    help: "train only this share of the layers, the last; those in front stay as they are",
  },
  filters: {
    kind: "number",
    fraction: true,
    minimum: 0,
    maximum: 1,
    help: "train only this share of the filters of each layer, those of the largest weights, and no biases",
  },
  flip: { kind: "boolean", help: "mirror every second image; not for digits or text" },
  shift: { kind: "number", minimum: 0, default: 0, help: "shift images by up to this many pixels" },
  output: {
    kind: "text",
    value: "file",
    required: true,
    help: "where the trained model goes; checkpoints go to <file>.checkpoint",
  },
  resume: { kind: "boolean", help: "go on from <file>.checkpoint, to the same bytes as without the stop" },
  ...PREPROCESSING_FLAGS,
  ...MODEL_FLAGS,
  ...TUNE_FLAGS,
} as const;

type TrainFlags = FlagValues<typeof TRAIN_FLAGS>;

/** `train [model]`: a model from labelled images, starting from a file or from nothing. */
export const trainCommand = defineCommand({
  name: "train",
  summary: "Train a classifier, detector or segmenter on labelled images, from a file or from scratch",
  args: { model: { help: "an .onnx file to start from; or give --network", optional: true } },
  flags: TRAIN_FLAGS,
  examples: [
    "train --network resnet8 --data world:day --validation world:day --epochs 12 --output day.onnx",
    "train model.onnx --data photos/ --epochs 5 --lr 0.01 --output tuned.onnx",
    "train model.onnx --data photos/ --epochs 5 --lr 0.01 --output tuned.onnx --resume",
    "train --network resnet --task detection --data world:day --epochs 12 --output boxes.onnx",
    "train model.onnx --data photos/ --last 0.33 --output tuned.onnx",
  ],
  async run({ args, flags, ...context }) {
    if ((args.model === undefined) === (flags.network === undefined)) {
      throw new LimberError(
        "config.invalid",
        "train: a model file or --network, got " + (args.model ? "both" : "neither"),
      );
    }
    const { seed, signal, onProgress, note } = context;
    const fromFile = args.model === undefined ? undefined : await openImageModel(args.model, flags, context);
    const preprocessing = fromFile?.preprocessing ?? sideOf(flags);
    const reading = { preprocessing, outputs: fromFile?.outputs };
    const dataset = await openData(flags, context, { ...reading, split: "train", worldSamples: 6000 });
    const opened = fromFile ?? (await createNetwork(flags, dataset, seed, note));
    const checkpoint = `${flags.output}.checkpoint`;
    const data = asOneDomain(dataset);
    const task = taskOf(opened.model);
    const onEpoch = (report: EpochReport): void => note(describeEpoch(report, flags.epochs, task.metric));
    const result = await train(opened.model, data, {
      ...{ ...opened, seed, signal, onProgress, onEpoch, ...runtimeOf(context), onSkipped: createSkipNotes(note) },
      tune: tuneSettingsOf(flags, context),
      ...{ epochs: flags.epochs, optimizer: flags.optimizer, smoothing: flags.smoothing },
      ...(flags.lr !== undefined && { learningRate: flags.lr }),
      ...(flags.weightDecay !== undefined && { weightDecay: flags.weightDecay }),
      // the loss of classifiers has options of its own
      head: task.name === "classification" ? undefined : task.open(opened.model, opened.preprocessing),
      ...trainedPart(opened.model, flags),
      augment: { flip: flags.flip, shift: flags.shift },
      validation: await openValidation(flags, context, reading),
      onCheckpoint: (bytes) => writeFileAtomic(checkpoint, bytes),
      resume: flags.resume ? await readCheckpoint(checkpoint) : undefined,
    });
    const epochs = result.epochs.map(summarizeEpoch);
    const last = epochs.at(-1) ?? { accuracy: null, loss: null, validationAccuracy: null };
    const { accuracy, loss, validationAccuracy } = last;
    const origin = {
      ...{ command: "train", method: flags.network ?? "train", seed, preprocessing: opened.preprocessing },
      parent: args.model === undefined ? undefined : await hashFile(args.model),
      options: optionsOf(flags),
      data: `${basename(flags.data)}: ${data.samples} images`,
      metrics: { accuracy, loss, validationAccuracy },
    };
    const model = stampModel(result.model, origin, context.env);
    await publishModel(flags.output, model, { ...opened, ...runtimeOf(context), probe: data });
    await rm(checkpoint, { force: true });
    const skipped = Math.max(0, ...result.epochs.map((epoch) => epoch.skipped));
    return {
      json: {
        network: flags.network ?? null,
        ...{ task: task.name, metric: task.metric },
        loss,
        accuracy,
        validationAccuracy,
        skipped,
        output: flags.output,
        epochs,
      },
      text: `${formatEpochs(epochs, task.metric)}${formatSkipped(skipped)}\nwritten: ${flags.output}`,
    };
  },
});

/** Which parameters train, and which rows of them. */
function trainedPart(model: Model, { last, filters }: TrainFlags): Pick<TrainingOptions, "parameters" | "rows"> {
  if (last === undefined && filters === undefined) return {};
  const prepared = prepareModel(model);
  const trained = last === undefined ? parametersOf(prepared) : lastLayersOf(prepared, last);
  if (filters === undefined) return { parameters: trained.map(({ name }) => name) };
  const weights = trained.flatMap(({ name, role }) => (role === "weight" ? [name] : []));
  return { parameters: weights, rows: largestRows(prepared, filters, weights) };
}

/** Throws: `config.invalid` unless the size is that of a square. */
function sideOf({ size = [32] }: TrainFlags): { width: number; height: number } {
  const [height = 32, width = height] = size;
  if (width === height && size.length <= 2) return { width, height };
  throw new LimberError("config.invalid", `--size: one number for a built network, got ${size.join("x")}`);
}

async function createNetwork(
  flags: TrainFlags,
  dataset: Dataset,
  seed: number,
  note: (line: string) => void,
): Promise<OpenModel> {
  const { network, task, width, depth } = flags;
  const { width: imageSize } = sideOf(flags);
  const classNames = classesFor(task, dataset);
  const options = { imageSize, classes: classNames.length, width, seed };
  const backbone = Object.keys(BACKBONES).find((name): name is keyof typeof BACKBONES => name === network);
  if (task && !backbone) {
    const names = Object.keys(BACKBONES).join(", ");
    throw new LimberError("config.invalid", `--network with --task: one of ${names}, got "${network}"`, { network });
  }
  const model =
    task && backbone
      ? buildTaskNetwork({ ...options, backbone, task, depth, classNames })
      : buildNetwork(network!, options);
  const started = flags.start === undefined ? model : withWeightsOf(model, await readModelFile(flags.start), note);
  return prepareImageModel(undefined, started, { ...flags, preset: flags.preset ?? "cifar" }, { note });
}

/** Another task's backbone, say. */
function withWeightsOf(model: Model, { graph }: Model, note: (line: string) => void): Model {
  const known = [...model.graph.initializers].flatMap(([name, { dims }]) => {
    const tensor = graph.initializers.get(name);
    return tensor && sameShape(tensor.dims, dims) ? [[name, tensor] as const] : [];
  });
  note(`starts with ${known.length} of ${model.graph.initializers.size} tensors`);
  const initializers = new Map([...model.graph.initializers, ...known]);
  return { ...model, graph: { ...model.graph, initializers } };
}

const classesFor = (task: TaskName | undefined, { classes, maskClasses }: Dataset): readonly string[] =>
  task === "segmentation" ? (maskClasses ?? classes) : classes;

const asOneDomain = ({ name, domains }: Dataset): Domain =>
  domains.length === 1 ? domains[0]! : joinDomains(name, domains);

type Reading = Omit<Parameters<typeof openData>[2], "split" | "worldSamples">;

async function openValidation(
  { validation, validationDomains, ...flags }: TrainFlags,
  context: Parameters<typeof openData>[1],
  reading: Reading,
): Promise<Domain | undefined> {
  if (validation === undefined) return undefined;
  const named = { ...flags, data: validation, domains: validationDomains, limit: undefined, split: undefined };
  return asOneDomain(await openData(named, context, { ...reading, split: "validation", worldSamples: 1000 }));
}

async function readCheckpoint(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw fileError(`checkpoint "${path}"`, cause);
  }
}

/** What the run depended on, to be written into the model. */
function optionsOf({
  network,
  task,
  width,
  depth,
  start,
  epochs,
  batch,
  lr,
  optimizer,
  weightDecay,
  smoothing,
  flip,
  shift,
  last,
  filters,
}: TrainFlags): unknown {
  const learning = { epochs, batch, learningRate: lr, optimizer, weightDecay, smoothing };
  return { network, task, width, depth, start: start && basename(start), ...learning, flip, shift, last, filters };
}

const summarizeEpoch = ({ epoch, loss, training, validation, refused, cacheHits, seconds }: EpochReport) => ({
  ...{ epoch, loss, accuracy: training.value },
  ...{ validationAccuracy: validation?.value ?? null, refused, cacheHits, seconds },
});

type EpochSummary = ReturnType<typeof summarizeEpoch>;

const shareOrDash = (share: number | null): string => (share === null ? "-" : formatShare(share));

function describeEpoch(report: EpochReport, epochs: number, metric: string): string {
  const { epoch, loss, accuracy, validationAccuracy, seconds } = summarizeEpoch(report);
  const validation = validationAccuracy === null ? "" : `, validation ${formatShare(validationAccuracy)}`;
  return `epoch ${epoch}/${epochs}: loss ${loss.toFixed(4)}, ${metric} ${formatShare(accuracy)}${validation}, ${seconds.toFixed(1)} s`;
}

function formatEpochs(epochs: readonly EpochSummary[], metric: string): string {
  const rows = epochs.map(({ epoch, loss, accuracy, validationAccuracy, seconds }) => [
    ...[
      String(epoch),
      loss.toFixed(4),
      formatShare(accuracy),
      shareOrDash(validationAccuracy),
      `${seconds.toFixed(1)} s`,
    ],
  ]);
  return formatTable(["epoch", "loss", metric, "validation", "time"], rows);
}
