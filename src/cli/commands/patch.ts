import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { LimberError, sizeOf } from "../../base/index.js";
import {
  detachPatches,
  findPatches,
  mergePatches,
  type Model,
  type PatchShape,
  writeModel,
} from "../../graph/index.js";
import { applyPatch, hashParent, loadPatch, type PatchFile, savePatch, writePatch } from "../../patch/index.js";
import { readModelFile, writeFileAtomic } from "../../run/node.js";
import { defineCommand, type FlagValues, type Outcome } from "../command.js";
import { formatCount, formatTable } from "../format.js";
import { MODEL_FLAGS } from "../model.js";

const FLAGS = {
  output: { kind: "text", value: "file", help: "what is written; needed by all but list" },
  groups: { kind: "numbers", help: "only the patches of these groups (default: all)" },
  parent: {
    kind: "text",
    value: "file",
    help: "export: the model as it was, where other weights than the patches' trained",
  },
  domain: { kind: "text", value: "name", help: "export: what the patch is for, a note in the file" },
  ...MODEL_FLAGS,
} as const;

interface Context {
  readonly file: string;
  readonly patch: string | undefined;
  readonly flags: FlagValues<typeof FLAGS>;
  readonly seed: number;
  readonly read: (path: string) => Promise<Model>;
}

type Action = (context: Context) => Promise<Outcome>;

const ACTIONS: Readonly<Record<string, Action>> = {
  async apply(context) {
    if (context.patch === undefined)
      throw new LimberError("config.invalid", "patch apply: a model and a patch file, got no patch file");
    const model = applyPatch(await context.read(context.file), await loadPatch(context.patch));
    return writeOut(context, model);
  },
  async remove(context) {
    const model = await readPatched(context);
    return writeOut(context, detachPatches(model, context.flags.groups));
  },
  async merge(context) {
    const model = await readPatched(context);
    return writeOut(context, mergePatches(model), null);
  },
  async export(context) {
    const { groups, domain, parent } = context.flags;
    const model = await readPatched(context);
    const original = parent === undefined ? undefined : await context.read(parent);
    const bytes = writePatch(model, { groups, domain, parent: original, seed: context.seed });
    await savePatch(outputOf(context), bytes);
    return describe(describeFile(await loadPatch(outputOf(context))), outputOf(context));
  },
  async list({ file, read }) {
    if (extname(file) === ".safetensors") return describe(describeFile(await loadPatch(file)));
    const model = await read(file);
    return describe(describeModel(model, (await readFile(file)).length));
  },
};

/** `patch <action> <file> [patch]`: patches onto models, off them, and into files. */
export const patch = defineCommand({
  name: "patch",
  summary: "Apply, remove, merge, export and list patches, small files that adapt a model",
  args: {
    action: { help: Object.keys(ACTIONS).join(", ") },
    file: { help: "an .onnx file; for list also a patch file" },
    patch: { help: "the patch file to apply", optional: true },
  },
  flags: FLAGS,
  examples: [
    "patch list patched.onnx",
    "patch export patched.onnx --domain fog --output fog.safetensors",
    "patch apply model.onnx fog.safetensors --output foggy.onnx",
  ],
  run({ args, flags, seed }) {
    const { action, file, patch } = args;
    const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (!run) {
      const message = `patch: one of ${Object.keys(ACTIONS).join(", ")}, got "${action}"`;
      throw new LimberError("config.invalid", message, { action });
    }
    const read = (path: string): Promise<Model> => readModelFile(path, { allowExternalData: flags.externalData });
    return run({ file, patch, flags, seed, read });
  },
});

/** Throws: `config.invalid` for a model without the patches asked for. */
async function readPatched({ file, flags, read }: Context): Promise<Model> {
  const model = await read(file);
  const found = findPatches(model).map(({ group }) => group);
  const wanted = flags.groups ?? found.slice(0, 1);
  if (wanted.length > 0 && wanted.every((group) => found.includes(group))) return model;
  const groups = flags.groups ? ` in groups ${flags.groups.join(", ")}` : "";
  const got = found.length === 0 ? "none" : `some in ${found.join(", ")}`;
  throw new LimberError("config.invalid", `model "${file}": one with patches${groups}, got ${got}; apply one first`);
}

/** Throws: `config.invalid` without `--output`. */
function outputOf({ flags }: Context): string {
  if (flags.output !== undefined) return flags.output;
  throw new LimberError("config.invalid", "patch: a file to write, got none; give --output");
}

async function writeOut(context: Context, model: Model, parent?: null): Promise<Outcome> {
  const output = outputOf(context);
  const bytes = writeModel(model);
  await writeFileAtomic(output, bytes);
  return describe({ ...describeModel(model, bytes.length), ...(parent === null && { parent }) }, output);
}

interface Row {
  readonly group: number;
  readonly value: string;
  readonly channels: number;
  readonly layout: string;
  readonly stride: number;
  readonly shape: PatchShape;
  /** Numbers in it. */
  readonly parameters: number;
}

interface Description {
  /** What has to agree for a patch to fit. */
  readonly parent: string | null;
  readonly sizeBytes: number;
  readonly patches: readonly Row[];
  readonly [more: string]: unknown;
}

type Shape = Omit<Row, "parameters">;
const rowOf = ({ group, value, channels, layout, stride, shape }: Shape, parameters: number): Row => ({
  ...{ group, value, channels, layout, stride, shape, parameters },
});

function describeModel(model: Model, sizeBytes: number): Description {
  const count = (names: readonly string[]): number =>
    names.reduce((sum, name) => sum + sizeOf(model.graph.initializers.get(name)!.dims), 0);
  const patches = findPatches(model).map((each) => rowOf(each, count(each.parameters)));
  return { parent: hashParent(model), sizeBytes, patches };
}

function describeFile({ manifest, tensors, sizeBytes }: PatchFile): Description {
  const { parent, patches, others, domain, metrics, seed, date } = manifest;
  const count = (group: number): number =>
    [...tensors].reduce((sum, [name, { dims }]) => sum + (name.startsWith(`${group}.`) ? sizeOf(dims) : 0), 0);
  const rows = patches.map((each) => rowOf(each, count(each.group)));
  const about = { domain: domain ?? null, metrics: metrics ?? null, others, seed: seed ?? null, date: date ?? null };
  return { parent, sizeBytes, patches: rows, ...about };
}

function describe(found: Description, output: string | null = null): Outcome {
  const { parent, sizeBytes, patches } = found;
  const rows = patches.map(({ group, value, channels, layout, stride, parameters }) => [
    ...[`${group} ${value}`, `${formatCount(channels)} ${layout === "map" ? "channels" : "columns"}`],
    ...[`${Math.round(stride * 10) / 10}`, formatCount(parameters)],
  ]);
  const text = [
    ...(rows.length > 0 ? [formatTable(["group, value", "size", "stride", "parameters"], rows)] : ["no patches"]),
    "",
    ...(typeof found.domain === "string" ? [`domain  ${found.domain}`] : []),
    ...(parent === null ? [] : [`parent  ${parent}`]),
    `bytes   ${formatCount(sizeBytes)}`,
    ...(output === null ? [] : [`written: ${output}`]),
  ];
  return { json: { ...found, output }, text: text.join("\n") };
}
