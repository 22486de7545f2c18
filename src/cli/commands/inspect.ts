import { findChannelGroups, type PatchPoint, splitBackbone } from "../../graph/index.js";
import { readModelFile } from "../../run/node.js";
import { defineCommand } from "../command.js";
import { formatGroups, summarizeGroup } from "../describe-groups.js";
import { bindingOf, type Border, describeModel, type ModelDescription } from "../describe-model.js";
import { formatCount, formatDims, formatTable } from "../format.js";
import { MODEL_FLAGS } from "../model.js";

/** `inspect <model>`: what is in this file, and what in it can be trained? Reads only. */
export const inspect = defineCommand({
  name: "inspect",
  summary: "Print inputs, outputs, ops, cost and trainable parameters of a model",
  args: { model: { help: "an .onnx file" } },
  flags: {
    input: { kind: "dims", help: "shape of the image input, for axes that the model leaves open" },
    groups: {
      kind: "boolean",
      help: "list the channel groups: what can be cut together, and what keeps the rest whole",
    },
    split: { kind: "boolean", help: "list the groups of layers behind which patches can stand" },
    ...MODEL_FLAGS,
  },
  examples: ["inspect resnet18.onnx", "inspect detector.onnx --input 3x352x352 --json"],
  async run({ args, flags }) {
    const model = await readModelFile(args.model, { allowExternalData: flags.externalData });
    const description = describeModel(model, { inputDims: flags.input });
    const ungradable = description.ungradable.map(({ cutOff, ...stop }) => ({ ...stop, cutOff: cutOff.length }));
    const binding = flags.input ? bindingOf(model, flags.input) : {};
    const groups = flags.groups ? findChannelGroups(model, binding) : undefined;
    const split = flags.split ? splitBackbone(model, { binding }) : undefined;
    const parts = [
      formatDescription(description),
      ...(groups ? [formatGroups(groups)] : []),
      ...(split ? [formatSplit(split)] : []),
    ];
    return {
      json: {
        ...description,
        ungradable,
        ...(groups && { groups: groups.map(summarizeGroup) }),
        ...(split && { split }),
      },
      text: parts.join("\n\n"),
    };
  },
});

const formatSplit = (points: readonly PatchPoint[]): string =>
  formatTable(
    ["patch point", "group", "layout", "channels", "stride"],
    points.map(({ value, group, layout, channels, stride }) => [
      ...[value, String(group), layout, formatCount(channels), String(Math.round(10 * stride) / 10)],
    ]),
  );

function formatDescription(model: ModelDescription): string {
  const border = (title: string, list: readonly Border[]): string[] =>
    list.map(
      ({ name, dtype, dims }, i) =>
        `${i === 0 ? title.padEnd(11) : " ".repeat(11)}${name}  ${dtype} ${formatDims(dims)}`,
    );
  const least =
    model.unknownShapes === 0
      ? ""
      : ` at least: ${formatCount(model.unknownShapes)} nodes have an unknown shape, give --input`;
  const lines = [
    ...border("inputs", model.inputs),
    ...border("outputs", model.outputs),
    `opset      ${model.opset}`,
    `nodes      ${formatCount(model.nodes)}`,
    `parameters ${formatCount(model.parameters)}`,
    `trainable  ${formatCount(model.trainable)}`,
    `MACs       ${formatCount(model.macs)}${least}`,
    "",
    formatTable(
      ["op", "count"],
      Object.entries(model.ops).map(([op, count]) => [op, formatCount(count)]),
    ),
  ];
  if (model.ungradable.length > 0) {
    lines.push("", "no gradient passes these nodes:");
    for (const { op, node, reason, cutOff } of model.ungradable) {
      const cost = cutOff.length === 0 ? "nothing is cut off" : `cuts off ${formatCount(cutOff.length)} weights`;
      lines.push(`  ${op} "${node}": ${reason}; ${cost}`);
    }
  }
  return lines.join("\n");
}
