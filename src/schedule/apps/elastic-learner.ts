import { MethodRun, planMethod } from "../../adapt/index.js";
import { LimberError, Random } from "../../base/index.js";
import {
  chooseScope,
  type ChosenScope,
  generateSurrogate,
  MasterVersions,
  peakStepBytes,
  trainFeatures,
  weightBytes,
} from "../../elastic/index.js";
import { foldBoosts, gatesOf, keptCount, type Loss, type Model, SurrogateCutter } from "../../graph/index.js";
import { KeptTrainers, type Machine, type RunTensor, type SessionOptions, type Trainer } from "../../run/node.js";
import { channelsOf, type Preprocessing } from "../../vision/index.js";
import { type Learner, type LevelSize, type Lesson, neighbourOf } from "./learner.js";
import type { AppMethod } from "./methods.js";

export interface ElasticLearnerOptions extends SessionOptions, AppMethod {
  /** Where models are made and trained. */
  readonly machine: Machine;
  /** Where compiled steps are kept, for several learners of one master; default: its own. */
  readonly trainers?: KeptTrainers | undefined;
  readonly preprocessing: Preprocessing;
  /** Sizes, from the largest sparsity to the smallest. Default: 0.8 to 0 in steps of 0.05. */
  readonly sparsities?: readonly number[] | undefined;
  /** Pictures that a size is made for, at most. Default 32. */
  readonly probeImages?: number | undefined;
  /** Share of the filters that train. Default 0.2. */
  readonly trainShare?: number | undefined;
  /** How much of what a model learnt goes into the master. Default 0.2. */
  readonly alpha?: number | undefined;
  /** Whose gradients say which filters are sensitive. Default: entropy. */
  readonly loss?: Loss | undefined;
  readonly batchSize?: number | undefined;
  readonly seed?: number | undefined;
}

/** The finest ladder: a quantum of 0.05 between the largest sparsity of masters and all filters. */
const SPARSITIES: readonly number[] = Array.from({ length: 17 }, (_, i) => (16 - i) / 20);

/**
 * ElasticDNN as a learner: a level is a sparsity, its model the surrogate that the master gives for the pictures at hand; a step is one of
 * the method, on its most sensitive filters; what was learnt flows into the master when the next one is made.
 *
 * Throws: `config.invalid` for sparsities out of order, `method.unsuitable` for a method that needs pictures of the source.
 */
export class ElasticLearner implements Learner {
  readonly sizes: readonly LevelSize[];
  private readonly sparsities: readonly number[];
  private readonly versions: MasterVersions;
  private readonly cutter: SurrogateCutter;
  private readonly trainers: KeptTrainers;
  private made: Made | undefined;

  constructor(
    master: Model,
    private readonly options: ElasticLearnerOptions,
  ) {
    const { method, sparsities = SPARSITIES } = options;
    if (method.source) {
      const message = `method "${method.name}": one without pictures of the source expected, got one that needs them; use shot-im or tent`;
      throw new LimberError("method.unsuitable", message, { method: method.name });
    }
    const isLadder = sparsities.every((s, i) => s >= 0 && s < 1 && (i === 0 || s < sparsities[i - 1]!));
    if (!isLadder || sparsities.length === 0)
      throw new LimberError("config.invalid", `sparsities: shares in [0, 1) that fall, got ${sparsities.join(", ")}`);
    const { gates } = gatesOf(master);
    this.sparsities = sparsities;
    this.sizes = sparsities.map((sparsity) => ({
      ...{ name: `sparsity ${sparsity}`, sparsity },
      size: gates.reduce((sum, { size }) => sum + keptCount(size, sparsity), 0),
    }));
    this.versions = new MasterVersions(master);
    this.cutter = new SurrogateCutter(master);
    this.trainers = options.trainers ?? new KeptTrainers(options.machine);
  }

  async make(level: number, images: RunTensor): Promise<void> {
    if (this.made)
      this.versions.feed(this.made.chosen.surrogate, await this.exportTrained(), this.options.alpha ?? 0.2);
    this.made = undefined;
    const { batchSize = 32, preprocessing, seed = 0, method, probeImages = 32 } = this.options;
    const probe = firstImages(images, probeImages);
    const surrogate = await this.generate(level, probe);
    const methodOptions = trainFeatures(method, this.options.methodOptions);
    const running = { ...this.options, methodOptions, trainers: this.trainers, cutter: this.cutter, name: "app" };
    const chosen = await chooseScope(surrogate, probe, running);
    const { model } = chosen.surrogate;
    const plan = planMethod(method, model, batchSize, methodOptions, chosen);
    const key = JSON.stringify(["step", level, method.name, methodOptions]);
    const { threads, optimization } = this.options;
    const trainer = await this.trainers.take(key, model, { ...plan, threads, optimization });
    const random = new Random(seed).fork("method");
    const run = new MethodRun(plan, trainer, { random, source: undefined, model, preprocessing });
    this.made = { level, chosen, trainer, run, probe, steps: 0 };
  }

  async step({ images, targets }: Lesson): Promise<void> {
    const made = this.current();
    await made.run.train({ images, targets, indices: [] });
    made.steps++;
  }

  async exportModel(): Promise<Model> {
    return foldBoosts(await this.exportTrained());
  }

  async makeNeighbour(): Promise<Model> {
    const made = this.current();
    const beside = neighbourOf(made.level, this.sparsities.length);
    return (made.neighbour ??= foldBoosts((await this.generate(beside, made.probe)).model));
  }

  stepBytes(batchSize: number): number {
    const { chosen, run } = this.current();
    const { preprocessing } = this.options;
    const dims = [batchSize, channelsOf(preprocessing), preprocessing.height, preprocessing.width];
    return weightBytes(this.versions.current.graph) + peakStepBytes(chosen.surrogate.model, run.plan, dims);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.made = undefined;
    if (!this.options.trainers) await this.trainers[Symbol.asyncDispose]();
  }

  private async generate(level: number, images: RunTensor) {
    const { machine, seed, threads, optimization } = this.options;
    const { surrogate } = await generateSurrogate(this.versions.current, this.cutter, images, {
      ...{ machine, seed, threads, optimization, trainers: this.trainers, sparsity: this.sparsities[level] },
    });
    return surrogate;
  }

  /** Without a step it is as made: the statistics of a trainer are those of its steps. */
  private async exportTrained(): Promise<Model> {
    const { run, trainer, chosen, steps } = this.current();
    if (steps === 0) return chosen.surrogate.model;
    return run.exportModel(await trainer.exportModel({ weights: run.plan.exports }));
  }

  private current(): Made {
    if (this.made) return this.made;
    throw new LimberError("config.invalid", "app: a model made before it trains or serves, got none; remodel first");
  }
}

interface Made {
  readonly level: number;
  readonly chosen: ChosenScope;
  readonly trainer: Trainer;
  readonly run: MethodRun;
  readonly probe: RunTensor;
  steps: number;
  neighbour?: Model;
}

function firstImages(images: RunTensor, count: number): RunTensor {
  const rows = Math.min(images.dims[0]!, count);
  if (rows === images.dims[0]) return images;
  return {
    ...images,
    dims: images.dims.with(0, rows),
    data: images.data.slice(0, (images.data.length / images.dims[0]!) * rows),
  };
}
