import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { train } from "../../adapt/index.js";
import { isLimberError, type LongCall } from "../../base/index.js";
import { buildMaster } from "../../elastic/index.js";
import { addGates, choose, type Model, prepareModel, SurrogateCutter, writeModel } from "../../graph/index.js";
import {
  findCacheFolder,
  type MachineOptions,
  readModelFile,
  type SessionOptions,
  writeModelFile,
} from "../../run/node.js";
import { corruptDomain, type Domain, keepFitted } from "../../vision/index.js";
import { type ElasticWorld, HELD_OUT } from "./world.js";

/** What the contestants start from. */
export interface Networks {
  /** The source model as it came. */
  readonly large: Model;
  readonly master: Model;
  /** The source model cut by L1 to the size of a surrogate, and trained on. */
  readonly small: Model;
}

export interface NetworkOptions extends LongCall, SessionOptions, MachineOptions {
  readonly sparsity: number;
  /** Steps of the master's training, five batches each; the small network is trained on as many images. Default 750. */
  readonly steps?: number | undefined;
  readonly batchSize: number;
  /** Where `master.onnx` and `small.onnx` lie, or go once they are trained. Default: the cache, by all that they follow from. */
  readonly trained?: string | undefined;
  /** Default: the user's. */
  readonly cacheFolder?: string | undefined;
}

/** Another one for every change of the training, so that what an older one made is not taken. */
const RECIPE = 2;
const STEPS = 750;
const BATCHES_PER_STEP = 5;
const LEARNING_RATE = 0.02;
/** The smallest sparsity that the master is trained at besides 0, of the one that surrogates are cut at. */
const LEAST = 0.625;

/**
 * Trains the master and the small network on the source, clean and under the validation shifts, each batch under one; or takes them
 * from where they are kept. Throws: as `buildMaster` and `train`.
 */
export async function prepareNetworks(world: ElasticWorld, options: NetworkOptions): Promise<Networks> {
  const { sparsity, steps = STEPS, batchSize, cacheFolder = findCacheFolder(), trained } = options;
  const { model, training, validation, augment } = world;
  const place = [training.pathOf(0), training.samples, validation.samples, JSON.stringify(augment ?? {})];
  const origin = () => [writeModel(model), [RECIPE, ...place, sparsity, steps, batchSize].join()];
  const store = new Store(trained === undefined ? hashedPlace(cacheFolder, origin()) : namedPlace(trained));
  const recipe = { ...options, steps };
  return {
    large: prepareModel(model),
    master: await store.get("master", () => trainMaster(world, recipe)),
    small: await store.get("small", () => trainSmall(world, recipe)),
  };
}

type Recipe = NetworkOptions & { readonly steps: number };

async function trainMaster(world: ElasticWorld, recipe: Recipe): Promise<Model> {
  const { sparsity, steps } = recipe;
  const { master } = await buildMaster(world.model, lessonsOfSource(world), {
    ...shared(world, recipe),
    validation: world.validation,
    stages: [{ maximumSparsity: sparsity, steps, learningRate: LEARNING_RATE }],
    minimumSparsity: LEAST * sparsity,
    levels: [...new Set([0, sparsity / 2, sparsity])],
    measureEvery: Math.ceil(steps / 3),
  });
  return master;
}

async function trainSmall(world: ElasticWorld, recipe: Recipe): Promise<Model> {
  const lessons = lessonsOfSource(world);
  const images = lessons.reduce((sum, { samples }) => sum + samples, 0);
  const { model } = await train(createMagnitudeCut(world.model, recipe.sparsity)(world.model), lessons, {
    ...shared(world, recipe),
    learningRate: LEARNING_RATE,
    epochs: Math.max(1, Math.round((recipe.steps * BATCHES_PER_STEP * recipe.batchSize) / images)),
  });
  return model;
}

/** The images of the source as they are, and under each validation shift: drifts that the domains to come are none of. */
const lessonsOfSource = ({ training, preprocessing }: ElasticWorld): Domain[] =>
  [training, ...HELD_OUT.map((shift) => corruptDomain(training, shift, { seed: 1 }))].map((domain) =>
    keepFitted(domain, preprocessing),
  );

const shared = (
  { preprocessing, augment }: ElasticWorld,
  { batchSize, threads, provider, signal, onProgress }: Recipe,
) => ({ preprocessing, augment, batchSize, threads, provider, signal, onProgress, seed: 0 });

/**
 * Cuts networks of one architecture in the layers and at the sparsity of a surrogate, so to equal bytes, by the L1 norm of the filters.
 * The channels are analysed once.
 */
export function createMagnitudeCut(like: Model, sparsity: number): (network: Model) => Model {
  const cutter = new SurrogateCutter(addGates(prepareModel(like)));
  return (network) => {
    const gated = addGates(prepareModel(network));
    return cutter.cut(gated, choose(cutter.scoresBy(gated, "l1"), sparsity, { boosted: false })).model;
  };
}

type Place = (name: string) => string;

const namedPlace =
  (folder: string): Place =>
  (name) =>
    join(folder, `${name}.onnx`);

/** By all that the models follow from. */
function hashedPlace(folder: string, origin: readonly (string | Uint8Array)[]): Place {
  const hash = createHash("sha256");
  for (const part of origin) hash.update(part).update("\0");
  const digest = hash.digest("hex").slice(0, 16);
  return (name) => join(folder, `bench-${name}-${digest}.onnx`);
}

/** Models that are made once. */
class Store {
  constructor(private readonly place: Place) {}

  async get(name: string, make: () => Promise<Model>): Promise<Model> {
    const path = this.place(name);
    try {
      return await readModelFile(path);
    } catch (error) {
      if (!isLimberError(error, "io.not-found")) throw error;
    }
    const model = await make();
    await mkdir(dirname(path), { recursive: true });
    await writeModelFile(path, model);
    return model;
  }
}
