import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
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
import { keepFitted } from "../../vision/index.js";
import type { ElasticWorld } from "./world.js";

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
  /** Steps of the master's training, five batches each; the small network is trained on as many images. */
  readonly steps: number;
  readonly batchSize: number;
  /** A master from elsewhere. */
  readonly master?: Model | undefined;
  /** Where trained networks are kept. Default: the user's cache folder. */
  readonly cacheFolder?: string | undefined;
}

/** Another one for every change of the training, so that what an older one made is not taken. */
const RECIPE = 1;
const BATCHES_PER_STEP = 5;
const MASTER_RATE = 0.01;
const SMALL_RATE = 0.02;

/** Trains the master and the small network on the source, or takes them from the cache. Throws: as `buildMaster` and `train`. */
export async function prepareNetworks(world: ElasticWorld, options: NetworkOptions): Promise<Networks> {
  const { sparsity, steps, batchSize, master, cacheFolder = findCacheFolder() } = options;
  const { model, preprocessing, validation } = world;
  const training = keepFitted(world.training, preprocessing);
  const place = [world.training.pathOf(0), training.samples, validation.samples];
  const cache = new Cache(cacheFolder, [writeModel(model), [RECIPE, ...place, sparsity, steps, batchSize].join()]);
  const own = { ...world, training };
  return {
    large: prepareModel(model),
    master: master ?? (await cache.get("master", () => trainMaster(own, options))),
    small: await cache.get("small", () => trainSmall(own, options)),
  };
}

async function trainMaster(
  { model, training, validation, preprocessing }: ElasticWorld,
  { sparsity, steps, batchSize, threads, provider, signal, onProgress }: NetworkOptions,
): Promise<Model> {
  const { master } = await buildMaster(model, training, {
    ...{ preprocessing, validation, batchSize, threads, provider, signal, onProgress, seed: 0 },
    stages: [{ maximumSparsity: sparsity, steps, learningRate: MASTER_RATE }],
    ...{
      levels: [...new Set([0, sparsity / 2, sparsity])],
      calibrationBatches: 10,
      measureEvery: Math.ceil(steps / 2),
    },
  });
  return master;
}

async function trainSmall(
  { model, training, preprocessing }: ElasticWorld,
  { sparsity, steps, batchSize, threads, provider, signal, onProgress }: NetworkOptions,
): Promise<Model> {
  const { model: small } = await train(cutByMagnitude(model, sparsity), training, {
    ...{ preprocessing, batchSize, threads, provider, signal, onProgress, seed: 0, learningRate: SMALL_RATE },
    epochs: Math.max(1, Math.round((steps * BATCHES_PER_STEP * batchSize) / training.samples)),
  });
  return small;
}

/** The same layers cut at the same sparsity as in a surrogate, so of equal bytes, by the L1 norm of the filters. */
function cutByMagnitude(model: Model, sparsity: number): Model {
  const gated = addGates(prepareModel(model));
  const cutter = new SurrogateCutter(gated);
  return cutter.cut(gated, choose(cutter.scoresBy(gated, "l1"), sparsity, { boosted: false })).model;
}

/** Models by all that they follow from. */
class Cache {
  constructor(
    private readonly folder: string,
    private readonly origin: readonly (string | Uint8Array)[],
  ) {}

  async get(name: string, make: () => Promise<Model>): Promise<Model> {
    const hash = createHash("sha256");
    for (const part of this.origin) hash.update(part).update("\0");
    const path = join(this.folder, `bench-${name}-${hash.digest("hex").slice(0, 16)}.onnx`);
    try {
      return await readModelFile(path);
    } catch (error) {
      if (!isLimberError(error, "io.not-found")) throw error;
    }
    const model = await make();
    await mkdir(this.folder, { recursive: true });
    await writeModelFile(path, model);
    return model;
  }
}
