import { SEVERITIES } from "../../vision/corrupt/index.js";
import { defineCommand } from "../command.js";
import { corruptDataset, STORES } from "../corrupt-dataset.js";
import { CORRUPTION_SETS, expandCorruptions } from "../corruptions.js";
import { createSkipNotes, DATA_FLAGS, openData } from "../data.js";
import { formatCount, formatSkipped } from "../format.js";

const WORLD_SIDE = 32;

/** `corrupt`: the same data under the corruptions of CIFAR-10-C and ImageNet-C. */
export const corruptCommand = defineCommand({
  name: "corrupt",
  summary: "Write corrupted copies of a data set, as CIFAR-10-C and ImageNet-C do",
  args: {},
  flags: {
    ...DATA_FLAGS,
    output: { kind: "text", value: "folder", required: true, help: "where the copies go" },
    corruption: { kind: "list", default: ["all"], help: `names, or a set: all, ${CORRUPTION_SETS.join(", ")}` },
    severity: {
      kind: "text",
      choices: ["1", "2", "3", "4", "5", "all"],
      value: "level",
      default: "5",
      help: "how strong",
    },
    as: {
      kind: "text",
      choices: STORES,
      value: "kind",
      help: "arrays, or folders of PNG (default: folders if every image has a file)",
    },
  },
  examples: [
    "corrupt --data photos/ --output photos-c --corruption fog,snow --severity 3",
    "corrupt --data cifar/test_batch.bin --output cifar-c --severity all",
  ],
  async run({ flags, seed, signal, onProgress, note }) {
    const corruptions = expandCorruptions(flags.corruption);
    const severities = SEVERITIES.filter((level) => flags.severity === "all" || Number(flags.severity) === level);
    const preprocessing = { width: WORLD_SIDE, height: WORLD_SIDE };
    const reading = { preprocessing, split: "test", worldSamples: 1000 } as const;
    const dataset = await openData({ ...flags, severity: undefined }, { seed, signal }, reading);
    const written = await corruptDataset(dataset, {
      ...{ folder: flags.output, corruptions, severities, seed, store: flags.as },
      ...{ signal, onProgress, onSkipped: createSkipNotes(note) },
    });
    const { images, skipped, files } = written;
    const text = `${formatCount(images)} images, ${corruptions.length} corruptions at severity ${severities.join(", ")}: ${formatCount(files)} files in ${flags.output}`;
    return {
      json: { output: flags.output, ...written, corruptions, severities, seed },
      text: text + formatSkipped(skipped),
    };
  },
});
