import {
  evaluate,
  evaluateTask,
  accuracyOf,
  addTallies,
  EMPTY_TALLY,
  type Tally,
  type TaskScore,
} from "../../adapt/index.js";
import { createMachine, Predictor, readModelFile } from "../../run/node.js";
import { type Dataset, type Domain, type Meter, taskOf } from "../../vision/index.js";
import { defineCommand, type Outcome, type Surroundings } from "../command.js";
import { createSkipNotes, DATA_FLAGS, openData } from "../data.js";
import { formatCount, formatShare, formatSkipped, formatTable } from "../format.js";
import { MODEL_FLAGS, type OpenModel, openWhole, prepareImageModel, PREPROCESSING_FLAGS, runtimeOf } from "../model.js";

/** `eval <model>`: how good are the answers of this model, domain by domain? */
export const evalCommand = defineCommand({
  name: "eval",
  summary: "Measure a classifier, detector or segmenter on labelled images, domain by domain",
  args: { model: { help: "an .onnx file" } },
  flags: {
    ...DATA_FLAGS,
    batch: { kind: "number", minimum: 1, default: 64, help: "images per run" },
    ...PREPROCESSING_FLAGS,
    ...MODEL_FLAGS,
  },
  examples: [
    "eval model.onnx --data photos/ --preset imagenet",
    "eval model.onnx --data world:day,night --limit 500 --json",
    "eval segmenter.onnx --data camvid/ --domains-by light",
  ],
  async run({ args, flags, ...context }) {
    const model = await readModelFile(args.model, { allowExternalData: flags.externalData });
    const opened = await prepareImageModel(args.model, openWhole(model, context), flags, context);
    const measure = taskOf(opened.model).name === "classification" ? evaluateClasses : evaluateAnswers;
    const dataset = await openData(flags, context, { ...opened, split: "test", worldSamples: 1000 });
    await using machine = createMachine(context);
    const predictor = await Predictor.create(machine, opened.model, runtimeOf(context));
    return await measure(predictor, dataset, opened, context);
  },
});

const readingOf = (opened: OpenModel, { signal, onProgress, note }: Surroundings) => ({
  ...opened,
  ...{ signal, onProgress, onSkipped: createSkipNotes(note) },
});

async function evaluateClasses(
  predictor: Predictor,
  dataset: Dataset,
  opened: OpenModel,
  context: Surroundings,
): Promise<Outcome> {
  const reading = readingOf(opened, context);
  let all: Tally = EMPTY_TALLY;
  const domains = [];
  for (const domain of dataset.domains) {
    const tally = await evaluate(predictor, domain, reading);
    all = addTallies(all, tally);
    const { total, correct, skipped } = tally;
    domains.push({ name: domain.name, total, correct, accuracy: accuracyOf(tally), skipped });
  }
  const { total, correct, skipped } = all;
  const rows = [...domains, { name: "all", total, correct, accuracy: accuracyOf(all) }].map((row) => [
    ...[row.name, formatCount(row.total), formatCount(row.correct), formatShare(row.accuracy)],
  ]);
  return {
    json: { total, correct, accuracy: accuracyOf(all), skipped, domains },
    text: formatTable(["domain", "images", "correct", "accuracy"], rows) + formatSkipped(skipped),
  };
}

/** Boxes and masks: figures over all domains count all of their images at once, and are no means of theirs. */
async function evaluateAnswers(
  predictor: Predictor,
  dataset: Dataset,
  opened: OpenModel,
  context: Surroundings,
): Promise<Outcome> {
  const task = taskOf(opened.model);
  const head = task.open(opened.model, opened.preprocessing);
  const whole = head.createMeter();
  const createMeter = (): Meter => {
    const own = head.createMeter();
    return { add: (...batch) => [own, whole].forEach((meter) => meter.add(...batch)), read: () => own.read() };
  };
  const reading = readingOf(opened, context);
  const domains: (TaskScore & Pick<Domain, "name">)[] = [];
  for (const domain of dataset.domains) {
    domains.push({ name: domain.name, ...(await evaluateTask(predictor, { createMeter }, domain, reading)) });
  }
  const skipped = domains.reduce((sum, domain) => sum + domain.skipped, 0);
  const all = { ...whole.read(), skipped };
  const columns = [...domains, { name: "all", ...all }];
  const row = (title: string, of: (column: (typeof columns)[number]) => string): string[] => [
    title,
    ...columns.map(of),
  ];
  const rows = [
    row("images", ({ samples }) => formatCount(samples)),
    row(task.metric, ({ value }) => formatShare(value)),
    ...Object.keys(all.details).map((name) => row(name, ({ details }) => formatShare(details[name] ?? null))),
  ];
  return {
    json: { task: task.name, metric: task.metric, ...all, domains },
    text:
      formatTable(
        row("", ({ name }) => name),
        rows,
      ) + formatSkipped(skipped),
  };
}
