import { LimberError } from "../../base/index.js";
import {
  type Binding,
  CHANNEL_SCORES,
  type ChannelGroup,
  type ChannelScore,
  chooseChannels,
  costOf,
  findChannelGroups,
  inferShapes,
  type Model,
  prepareModel,
  pruneChannels,
  type PruneRecord,
  silenceChannels,
  writeModel,
} from "../../graph/index.js";
import { readModelFile, writeFileAtomic } from "../../run/node.js";
import { checkPruned } from "../check-pruned.js";
import { defineCommand } from "../command.js";
import { formatBlocked, summarizeGroup } from "../describe-groups.js";
import { bindingOf } from "../describe-model.js";
import { formatCount, formatShare, formatTable } from "../format.js";
import { checkPlain, hashFile, MODEL_FLAGS, runtimeOf } from "../model.js";
import { stampModel } from "../publish.js";

const SCORES = Object.keys(CHANNEL_SCORES) as ChannelScore[];

/** `prune <model>`: a smaller model without the channels that matter least. */
export const prune = defineCommand({
  name: "prune",
  summary: "Remove the channels that matter least, and write a smaller model",
  args: { model: { help: "an .onnx file" } },
  flags: {
    keep: {
      kind: "number",
      fraction: true,
      minimum: 0,
      maximum: 1,
      required: true,
      help: "share of channels that stays",
    },
    by: { kind: "text", choices: SCORES, default: "l1", value: "score", help: "what tells how much a channel matters" },
    global: { kind: "boolean", help: "rank the channels of all groups together, not each group on its own" },
    roundTo: {
      kind: "number",
      minimum: 1,
      default: 1,
      help: "round kept channels up to a multiple: 8 suits fast kernels",
    },
    only: { kind: "list", help: "ids of the groups to cut; limber inspect --groups lists them (default: all)" },
    input: { kind: "dims", help: "shape of the image input, for axes that the model leaves open" },
    output: { kind: "text", value: "file", help: "write the pruned model (default: only say what would be cut)" },
    ...MODEL_FLAGS,
  },
  examples: [
    "prune model.onnx --keep 0.5 --output small.onnx",
    "prune model.onnx --keep 0.7 --by bn --global --round-to 8 --output small.onnx",
  ],
  async run({ args, flags, ...context }) {
    const { keep, by, global, roundTo, only, output } = flags;
    const source = await readModelFile(args.model, { allowExternalData: flags.externalData });
    checkPlain(source);
    const binding = flags.input ? bindingOf(source, flags.input) : {};
    const groups = findChannelGroups(source, binding);
    const wanted = only ? only.map((id) => findGroup(groups, id)) : groups;
    const { selection, skipped } = chooseChannels(source, wanted, { keep, by, global, roundTo, seed: context.seed });
    const { model, record } = pruneChannels(source, selection, binding);
    const figures = { before: figuresOf(prepareModel(source), binding), after: figuresOf(model, binding) };
    const origin = {
      ...{ command: "prune", parent: await hashFile(args.model), method: by, seed: context.seed },
      ...{ options: { keep, global, roundTo, only }, metrics: figures },
    };
    const bytes = writeModel(withRecord(stampModel(model, origin, context.env), record));
    const silenced = silenceChannels(source, groups, selection);
    const difference = await checkPruned(silenced, bytes, { binding, seed: context.seed, ...runtimeOf(context) });
    if (difference === undefined) context.note("not run: the inputs are not float32 of a known size, give --input");
    if (output !== undefined) await writeFileAtomic(output, bytes);
    const cut = Object.entries(record.groups).map(([id, { size, kept }]) => ({ id, units: size, kept: kept.length }));
    const blocked = groups.filter(({ reason }) => reason !== undefined);
    return {
      json: {
        ...{ ...figures, difference: difference ?? null, cut, skipped, blocked: blocked.map(summarizeGroup) },
        output: output ?? null,
      },
      text: [
        formatTable(
          ["channel group", "units", "kept"],
          cut.map(({ id, units, kept }) => [id, formatCount(units), formatCount(kept)]),
        ),
        ...skipped.map(({ id, why }) => `${id}: not cut, ${why}`),
        ...formatBlocked(blocked),
        "",
        formatFigures(figures),
        ...(output === undefined ? ["nothing written: give --output"] : [`written: ${output}`]),
      ].join("\n"),
    };
  },
});

/** Throws: `config.invalid` */
function findGroup(groups: readonly ChannelGroup[], id: string): ChannelGroup {
  const group = groups.find((each) => each.id === id);
  if (group && group.reason === undefined) return group;
  const got = group ? `one ${group.reason}` : "no such group; limber inspect --groups lists them";
  throw new LimberError("config.invalid", `--only: a channel group that can be cut, got "${id}", ${got}`, {
    group: id,
  });
}

interface Figures {
  readonly macs: number;
  readonly parameters: number;
  readonly sizeBytes: number;
  /** Nodes that `macs` leaves out. */
  readonly unknownShapes: number;
}

function figuresOf(model: Model, binding: Binding): Figures {
  const { macs, parameters, uncounted } = costOf(inferShapes(model, { batch: 1, ...binding }));
  return { macs, parameters, sizeBytes: writeModel(model).length, unknownShapes: uncounted.length };
}

function formatFigures({ before, after }: { readonly before: Figures; readonly after: Figures }): string {
  const row = (title: string, key: keyof Figures): string[] => [
    title,
    ...[formatCount(before[key]), formatCount(after[key])],
    before[key] === 0 ? "" : formatShare(after[key] / before[key]),
  ];
  const rows = [row("MACs", "macs"), row("parameters", "parameters"), row("bytes", "sizeBytes")];
  const least = after.unknownShapes === 0 ? "" : "\nMACs are at least these: some shapes are unknown, give --input";
  return formatTable(["", "before", "after", "left"], rows) + least;
}

/** The record travels in the model, so that weights can be written back without another file. */
const withRecord = (model: Model, record: PruneRecord): Model => ({
  ...model,
  metadata: new Map([...model.metadata, ["limber.pruning", JSON.stringify(record)]]),
});
