import { accuracyOf, addTallies, EMPTY_TALLY, evaluate, type Tally } from "../../adapt/index.js";
import { createMachine, Predictor, readModelFile } from "../../run/node.js";
import { defineCommand } from "../command.js";
import { createSkipNotes, DATA_FLAGS, openData } from "../data.js";
import { formatCount, formatShare, formatSkipped, formatTable } from "../format.js";
import { MODEL_FLAGS, openWhole, prepareClassifier, PREPROCESSING_FLAGS, runtimeOf } from "../model.js";

/** `eval <model>`: how often is this classifier right, domain by domain? */
export const evalCommand = defineCommand({
  name: "eval",
  summary: "Measure the accuracy of a classifier on labelled images, domain by domain",
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
  ],
  async run({ args, flags, ...context }) {
    const model = await readModelFile(args.model, { allowExternalData: flags.externalData });
    const opened = await prepareClassifier(args.model, openWhole(model, context), flags, context);
    const dataset = await openData(flags, context, { ...opened, split: "test", worldSamples: 1000 });
    await using machine = createMachine(context);
    const predictor = await Predictor.create(machine, opened.model, runtimeOf(context));
    const onSkipped = createSkipNotes(context.note);
    let all: Tally = EMPTY_TALLY;
    const domains = [];
    for (const domain of dataset.domains) {
      const { signal, onProgress } = context;
      const tally = await evaluate(predictor, domain, { ...opened, signal, onProgress, onSkipped });
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
  },
});
