import { readFile, rm } from "node:fs/promises";
import { basename } from "node:path";
import { LimberError } from "../../base/index.js";
import { type BuiltMaster, buildMaster, type Measured, type Stage } from "../../elastic/index.js";
import { addGates, gateParameters, gatesOf, type Model, writeModel } from "../../graph/index.js";
import { fileError, writeFileAtomic } from "../../run/node.js";
import { corruptDomain, type Dataset, joinDomains, keepFitted, taskOf } from "../../vision/index.js";
import { defineCommand, type FlagValues } from "../command.js";
import { CORRUPTION_SETS, expandCorruptions } from "../corruptions.js";
import { createSkipNotes, DATA_FLAGS, openData } from "../data.js";
import { formatCount, formatShare, formatTable } from "../format.js";
import { hashFile, MODEL_FLAGS, openImageModel, type OpenModel, PREPROCESSING_FLAGS, runtimeOf } from "../model.js";
import { stampModel } from "../publish.js";

const MASTER_FLAGS = {
  ...DATA_FLAGS,
  data: {
    kind: "text",
    value: "path",
    help: `labelled images of the source; of several domains, each batch shows one: ${DATA_FLAGS.data.help}`,
  },
  corrupt: {
    kind: "list",
    value: "a,b",
    help: `show the images corrupted too, each way and the five severities a domain of its own: names, or ${["all", ...CORRUPTION_SETS].join(", ")}`,
  },
  validation: { kind: "text", value: "path", help: "labelled images to choose the best master by" },
  untrained: { kind: "boolean", help: "no data and no training: open gates, for surrogates chosen without them" },
  steps: { kind: "number", minimum: 1, default: 2000, help: "training steps, five batches each" },
  maxSparsity: {
    kind: "numbers",
    default: [0.8],
    help: "largest share of channels left out; several make stages of equal length: 0.2,0.5,0.8",
  },
  minSparsity: {
    kind: "number",
    fraction: true,
    minimum: 0,
    maximum: 0.99,
    default: 0,
    help: "smallest share that is drawn, beside 0: near the largest where only small models are wanted",
  },
  lr: { kind: "number", fraction: true, minimum: 0, default: 0.01, help: "learning rate at the start of a stage" },
  warmUp: { kind: "number", minimum: 0, default: 0, help: "steps before that train gates alone" },
  optimizer: { kind: "text", choices: ["sgd", "adam"], value: "name", default: "sgd", help: "optimizer" },
  weightDecay: {
    kind: "number",
    fraction: true,
    minimum: 0,
    help: "of weights other than gates (default: by optimizer)",
  },
  penalty: { kind: "number", fraction: true, minimum: 0, default: 1e-8, help: "weight of the sum of all gates" },
  affine: {
    kind: "number",
    fraction: true,
    minimum: 0,
    default: 0,
    help: "weight of the pull towards an affine image of the weights as they were (the authors': 0.0005)",
  },
  reduction: { kind: "number", minimum: 1, help: "gates of two layers, the inner one so many times smaller" },
  levels: {
    kind: "numbers",
    default: [0, 0.2, 0.4, 0.6, 0.8],
    help: "sparsities that get statistics of their own, and are measured",
  },
  measureEvery: { kind: "number", minimum: 1, help: "steps between two measurements (default: an eighth of all)" },
  batch: { kind: "number", minimum: 1, default: 64, help: "images per batch" },
  flip: { kind: "boolean", help: "mirror every second image; not for digits or text" },
  shift: { kind: "number", minimum: 0, default: 0, help: "shift images by up to this many pixels" },
  output: {
    kind: "text",
    value: "file",
    required: true,
    help: "where the master goes; checkpoints go to <file>.checkpoint",
  },
  resume: { kind: "boolean", help: "go on from <file>.checkpoint, to the same bytes as without the stop" },
  ...PREPROCESSING_FLAGS,
  ...MODEL_FLAGS,
} as const;

type MasterFlags = FlagValues<typeof MASTER_FLAGS>;

/** `master build <model>`: gates in a model, and a training at many sparsities, so that small models can be cut from it. */
export const master = defineCommand({
  name: "master",
  summary: "Build a master model, from which small models are cut for each domain",
  args: { what: { help: "build" }, model: { help: "an .onnx file" } },
  flags: MASTER_FLAGS,
  examples: [
    "master build model.onnx --data photos/train --validation photos/val --output master.onnx",
    "master build model.onnx --data world:day --validation world:day --max-sparsity 0.2,0.5,0.8 --steps 6000 --output master.onnx",
    "master build model.onnx --untrained --output master.onnx",
  ],
  async run({ args, flags, ...context }) {
    if (args.what !== "build") throw new LimberError("config.invalid", `master: build, got "${args.what}"`);
    const built = flags.untrained
      ? await openGates(args.model, flags, context)
      : await trainMaster(args.model, flags, context);
    const { model, result, preprocessing } = built;
    const { gates } = gatesOf(model);
    const curve = result?.best.curve ?? [];
    const origin = {
      ...{
        command: "master build",
        parent: await hashFile(args.model),
        method: flags.untrained ? "untrained" : "sandwich",
      },
      ...{ options: optionsOf(flags), seed: context.seed, preprocessing },
      ...(flags.data !== undefined && { data: basename(flags.data) }),
      metrics: { curve, meanAccuracy: result?.best.mean ?? null },
    };
    await writeFileAtomic(flags.output, writeModel(stampModel(model, origin, context.env)));
    await rm(checkpointOf(flags), { force: true });
    const channels = gates.reduce((sum, { size }) => sum + size, 0);
    const json = {
      ...{ gates: gates.length, channels, gateParameters: gateParameters(model), output: flags.output },
      ...{
        meanAccuracy: result?.best.mean ?? null,
        bestStep: result?.best.step ?? null,
        refused: result?.refused ?? 0,
      },
      curve,
    };
    const summary = `${formatCount(gates.length)} gates on ${formatCount(channels)} channels, ${formatCount(json.gateParameters)} parameters`;
    const table = result ? [formatCurve(result), ""] : [];
    return { json, text: [...table, summary, `written: ${flags.output}`].join("\n") };
  },
});

type Context = Parameters<typeof openData>[1] & Parameters<typeof openImageModel>[2] & Parameters<typeof runtimeOf>[0];

interface Opened {
  readonly model: Model;
  readonly preprocessing: OpenModel["preprocessing"];
  readonly result?: BuiltMaster;
}

async function openGates(path: string, flags: MasterFlags, context: Context): Promise<Opened> {
  const { model, preprocessing } = await openImageModel(path, flags, context);
  return { model: addGates(model, { reduction: flags.reduction }), preprocessing };
}

async function trainMaster(
  path: string,
  flags: MasterFlags,
  context: Context & { readonly onProgress: Parameters<typeof buildMaster>[2]["onProgress"] },
): Promise<Opened> {
  const opened = await openImageModel(path, flags, context);
  const task = taskOf(opened.model);
  const { preprocessing, batchSize, outputs } = opened;
  const read = async (data: string | undefined, flag: string, split: "train" | "validation"): Promise<Dataset> => {
    if (data === undefined) {
      const message = `master build: --${flag} with labelled images, got none; give it, or --untrained`;
      throw new LimberError("config.invalid", message, { flag });
    }
    const limits = split === "train" ? {} : { domains: undefined, limit: undefined, split: undefined };
    const worldSamples = split === "train" ? 6000 : 500;
    return openData({ ...flags, ...limits, data }, context, { preprocessing, outputs, split, worldSamples });
  };
  const { domains } = await read(flags.data, "data", "train");
  const ways = expandCorruptions(flags.corrupt ?? []);
  const shown = domains.flatMap((domain) => [
    domain,
    ...ways.map((way) => corruptDomain(domain, way, { name: `${domain.name}/${way}`, seed: context.seed })),
  ]);
  const validation = await read(flags.validation, "validation", "validation");
  const { seed, signal, onProgress, note } = context;
  const { optimizer, weightDecay, penalty, levels, measureEvery, reduction, flip, shift, minSparsity } = flags;
  const result = await buildMaster(
    opened.model,
    shown.map((domain) => keepFitted(domain, preprocessing)),
    {
      ...{ preprocessing, batchSize, seed, signal, onProgress, ...runtimeOf(context) },
      ...{ optimizer, weightDecay, penalty, affinePenalty: flags.affine, levels, measureEvery },
      // as in training: pictures of classifiers alone may be augmented
      head: task.name === "classification" ? undefined : task.open(opened.model, preprocessing),
      ...{ augment: { flip, shift }, warmUpSteps: flags.warmUp },
      gates: { initial: "ranked", seed, reduction },
      validation: joinDomains(validation.name, validation.domains),
      stages: stagesOf(flags),
      minimumSparsity: minSparsity,
      onSkipped: createSkipNotes(note),
      onMeasure: (measured) => note(describeMeasured(measured)),
      onCheckpoint: (bytes) => writeFileAtomic(checkpointOf(flags), bytes),
      resume: flags.resume ? await readCheckpoint(checkpointOf(flags)) : undefined,
    },
  );
  return { model: result.master, preprocessing, result };
}

const checkpointOf = ({ output }: MasterFlags): string => `${output}.checkpoint`;

async function readCheckpoint(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw fileError(`checkpoint "${path}"`, cause);
  }
}

/** One stage for each largest sparsity, the steps shared evenly. */
function stagesOf({ maxSparsity, steps, lr }: MasterFlags): Stage[] {
  const borders = [...maxSparsity.keys(), maxSparsity.length].map((i) => Math.round((i * steps) / maxSparsity.length));
  return maxSparsity.map((maximumSparsity, i) => ({
    maximumSparsity,
    ...{ steps: borders[i + 1]! - borders[i]!, learningRate: lr },
  }));
}

function optionsOf({
  steps,
  maxSparsity,
  minSparsity,
  lr,
  warmUp,
  optimizer,
  weightDecay,
  penalty,
  ...flags
}: MasterFlags): unknown {
  const { affine, reduction, levels, batch, flip, shift, untrained } = flags;
  if (untrained) return { reduction };
  const learning = { steps, maxSparsity, minSparsity, learningRate: lr, warmUp, optimizer, weightDecay, penalty };
  return { ...learning, affine, reduction, levels, batch, flip, shift };
}

const describeMeasured = ({ step, mean, curve }: Measured): string =>
  `step ${step}: ${curve.map(({ sparsity, accuracy }) => `${sparsity}: ${formatShare(accuracy)}`).join(", ")}; mean ${formatShare(mean)}`;

function formatCurve({ best }: BuiltMaster): string {
  const rows = best.curve.map(({ sparsity, accuracy }) => [String(sparsity), formatShare(accuracy)]);
  return formatTable(["sparsity", "accuracy"], [...rows, ["mean", formatShare(best.mean)]]);
}
