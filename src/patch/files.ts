import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { bytesOf, formatShape, LimberError, sameShape, type Tensor } from "../base/index.js";
import {
  attachPatches,
  detachPatches,
  findPatches,
  type Model,
  type Patch,
  type PatchPoint,
  prepareModel,
  writeModel,
} from "../graph/index.js";
import { fileError, readTensorFile, type RunTensor, writeFileAtomic, writeTensorFile } from "../run/node.js";

const count = z.int().min(1);
const shapeSchema = z.discriminatedUnion("form", [
  z.strictObject({ form: z.literal("residual"), reduction: z.number().min(1), kernel: count }),
  z.strictObject({ form: z.enum(["low-rank", "joint"]), rank: count }),
]);
const pointSchema = z.strictObject({
  group: count,
  value: z.string(),
  after: z.string().optional(),
  channels: count,
  layout: z.enum(["map", "tokens"]),
  stride: z.number().positive(),
  grid: z.tuple([count, count]).optional(),
  shape: shapeSchema,
});

const manifestSchema = z.strictObject({
  version: z.literal(1),
  /** `hashParent` of the model without patches. */
  parent: z.string().regex(/^[0-9a-f]{64}$/),
  patches: z.array(pointSchema).min(1),
  /** Weights of the model that trained along, such as a head's. */
  others: z.array(z.string()),
  /** What the patch is for. */
  domain: z.string().optional(),
  metrics: z.record(z.string(), z.number()).optional(),
  seed: z.int().optional(),
  /** ISO 8601. */
  date: z.string().optional(),
});

/** What a patch file says about itself. */
export type PatchManifest = Readonly<z.output<typeof manifestSchema>>;

/** A patch that was read: weights by `<group>.<part>` and `model.<name>`. */
export interface PatchFile {
  readonly manifest: PatchManifest;
  readonly tensors: ReadonlyMap<string, RunTensor>;
  readonly sizeBytes: number;
}

export interface WritePatchOptions extends Pick<PatchManifest, "domain" | "metrics" | "seed" | "date"> {
  /** The model as it was before: weights that differ go along. Default: the model without its patches. */
  readonly parent?: Model | undefined;
  /** Groups that are written; default all that have a patch. */
  readonly groups?: readonly number[] | undefined;
}

/**
 * What tells models apart that patches are for: SHA-256 of what the model computes, weights and all, without its metadata and header.
 * A model and the same one prepared are one.
 */
export function hashParent(model: Model): string {
  const { graph, ...rest } = prepareModel(detachPatches(model));
  const header = { metadata: new Map<string, string>(), producerName: "", producerVersion: "" };
  return sha256(writeModel({ ...rest, ...header, graph: { ...graph, types: new Map() } }));
}

/**
 * The patches of a model as a file of their own, in the safetensors format: weights, and in the metadata a manifest and a digest over
 * both. The same patches give the same bytes. Throws: `config.invalid` for a model without patches, or another parent.
 */
export function writePatch(model: Model, options: WritePatchOptions = {}): Uint8Array {
  const { parent = detachPatches(model), groups, domain, metrics, seed, date } = options;
  const chosen = findPatches(model).filter(({ group }) => groups?.includes(group) !== false);
  if (chosen.length === 0) {
    const message = `patch file: a model with patches${groups ? ` in groups ${groups.join(", ")}` : ""}, got none; attach some first`;
    throw new LimberError("config.invalid", message);
  }
  const changed = changedWeights(parent, model);
  const tensors = new Map<string, RunTensor>(
    chosen.flatMap((patch) =>
      patch.parameters.map((name) => [keyOf(patch, name), model.graph.initializers.get(name) as RunTensor] as const),
    ),
  );
  for (const name of changed) tensors.set(`model.${name}`, model.graph.initializers.get(name) as RunTensor);
  const manifest: PatchManifest = {
    ...{ version: 1, parent: hashParent(parent), patches: chosen.map(describe), others: changed },
    ...{ domain, metrics, seed, date },
  };
  const text = JSON.stringify(manifest);
  return writeTensorFile({ tensors, metadata: { [FORMAT]: text, digest: digestOf(text, tensors) } });
}

const FORMAT = "limber.patch";

const describe = ({ group, value, after, channels, layout, stride, grid, shape }: Patch) => ({
  ...{ group, value, ...(after !== undefined && { after }), channels, layout, stride, shape },
  ...(grid && { grid: [...grid] as [number, number] }),
});

/** A weight of a patch, whatever prefix it has in its model. */
const keyOf = ({ group, name }: Patch, parameter: string): string => `${group}.${parameter.slice(name.length + 1)}`;

/** Weights that the model has in common with its parent, and that differ. */
function changedWeights(parent: Model, model: Model): string[] {
  const { initializers } = model.graph;
  return [...parent.graph.initializers].flatMap(([name, before]) => {
    const after = initializers.get(name);
    if (!after || !sameShape(before.dims, after.dims)) {
      const message = `patch file: the model that was patched as parent, got one whose weight "${name}" is not there or has another shape`;
      throw new LimberError("config.invalid", message, { name });
    }
    const isSame = before.data === after.data || Buffer.compare(bytesOf(before), bytesOf(after)) === 0;
    return isSame ? [] : [name];
  });
}

const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

function digestOf(manifest: string, tensors: ReadonlyMap<string, Tensor>): string {
  const hash = createHash("sha256").update(manifest);
  for (const [name, tensor] of tensors) hash.update(`${name}${formatShape(tensor.dims)}`).update(bytesOf(tensor));
  return hash.digest("hex");
}

/** Reads a patch file. Throws: `data.invalid` for bytes that are cut off, changed, or no patch. */
export function readPatch(bytes: Uint8Array): PatchFile {
  const { tensors, metadata } = readTensorFile(bytes);
  const text = metadata[FORMAT];
  const damaged = (got: string, cause?: unknown): LimberError =>
    new LimberError("data.invalid", `patch file: a patch as it was written, got ${got}; write it again`, {}, { cause });
  if (text === undefined) throw damaged(`a safetensors file without "${FORMAT}"`);
  if (metadata.digest !== digestOf(text, tensors)) throw damaged("bytes that do not fit their digest");
  const parsed = manifestSchema.safeParse(parseJson(text));
  if (!parsed.success) throw damaged("a manifest that says something else", parsed.error);
  return { manifest: parsed.data, tensors, sizeBytes: bytes.length };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * The model with the patches of a file; patches that it has in the same groups go.
 * Throws: `patch.parent` for another model than that they were made for, `shape.mismatch`, `data.invalid` for weights that are missing.
 */
export function applyPatch(model: Model, { manifest, tensors }: PatchFile): Model {
  const parent = hashParent(model);
  if (parent !== manifest.parent) {
    const message = `patch: the model that it was made for (${manifest.parent.slice(0, 12)}…), got another (${parent.slice(0, 12)}…); apply it to that one`;
    throw new LimberError("patch.parent", message, { expected: manifest.parent, got: parent });
  }
  const groups = manifest.patches.map(({ group }) => group);
  const bare = detachPatches(model, groups);
  const patched = manifest.patches.reduce<Model>((result, { shape, grid, after, ...rest }) => {
    const point: PatchPoint = { ...rest, ...(grid && { grid }), ...(after !== undefined && { after }) };
    return attachPatches(result, [point], shape);
  }, bare);
  const initializers = new Map<string, Tensor>(patched.graph.initializers);
  const put = (name: string, key: string): void => {
    const [expected, tensor] = [initializers.get(name), tensors.get(key)];
    if (!expected || !tensor) throw new LimberError("data.invalid", `patch: weight "${key}", got none; write it again`);
    if (!sameShape(expected.dims, tensor.dims) || expected.dtype !== tensor.dtype) {
      const got = `${tensor.dtype} ${formatShape(tensor.dims)}`;
      const message = `patch: weight "${key}" as ${expected.dtype} ${formatShape(expected.dims)}, got ${got}`;
      throw new LimberError("shape.mismatch", message, { weight: key });
    }
    initializers.set(name, tensor);
  };
  for (const patch of findPatches(patched))
    if (groups.includes(patch.group)) for (const name of patch.parameters) put(name, keyOf(patch, name));
  for (const name of manifest.others) put(name, `model.${name}`);
  return { ...patched, graph: { ...patched.graph, initializers } };
}

/** Patches are small: what is larger is something else. Units: bytes. */
const LARGEST = 1 << 30;

/** Reads a patch file from disk. Throws: what `readPatch` throws; `io.not-found`, `io.failed`, `limit.exceeded`. */
export async function loadPatch(path: string): Promise<PatchFile> {
  let bytes: Uint8Array;
  try {
    const { size } = await stat(path);
    if (size > LARGEST)
      throw new LimberError("limit.exceeded", `patch file "${path}": at most ${LARGEST} bytes, got ${size}`, {
        path,
        size,
      });
    bytes = await readFile(path);
  } catch (cause) {
    throw fileError(`patch file "${path}"`, cause);
  }
  return readPatch(bytes);
}

/** Writes a patch file whole or not at all: until the new one has reached the disk, the old one stays. Throws: `io.full`, `io.failed`. */
export const savePatch = (path: string, patch: Uint8Array): Promise<void> => writeFileAtomic(path, patch);
