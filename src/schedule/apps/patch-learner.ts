import { LimberError } from "../../base/index.js";
import { peakStepBytes } from "../../elastic/index.js";
import {
  adam,
  type Model,
  type PatchOptions,
  patchParameters,
  statisticsOf,
  type StepOptions,
} from "../../graph/index.js";
import { KeptTrainers, type Machine, type RunTensor, type SessionOptions, type Trainer } from "../../run/node.js";
import {
  groupBiases,
  groupsFor,
  headParameters,
  type Member,
  orderGroups,
  patchMember,
  type PatchTensors,
  weightsOf,
} from "../../patch/index.js";
import { channelsOf } from "../../vision/index.js";
import { type Learner, type LevelSize, type Lesson, neighbourOf } from "./learner.js";

export interface PatchLearnerOptions extends SessionOptions {
  readonly machine: Machine;
  readonly trainers?: KeptTrainers | undefined;
  /** Default 1e-3; a tenth of it for scales, biases and the head. */
  readonly learningRate?: number | undefined;
  /** What patches are. Default: as `attachPatches`. */
  readonly patches?: Omit<PatchOptions, "seed" | "groups"> | undefined;
  readonly seed?: number | undefined;
}

interface Made {
  readonly level: number;
  /** The model of the level as made, and the one beside it. */
  readonly model: Model;
  readonly neighbour: Model;
  readonly plan: StepOptions;
  readonly trainer: Trainer;
  steps: number;
}

const FIXED: StepOptions = { statistics: "fixed" };
const HEAD_SCALE = 0.1;

/**
 * PatchLine as a learner: a level is a number of patches, from the head backwards; a step is one of fine-tuning them on lessons with
 * labels. Statistics of normalization are those of the pictures that a model is made for: all that the model without patches has.
 * What was learnt goes on in the next model, in the patches that both have.
 */
export class PatchLearner implements Learner {
  readonly sizes: readonly LevelSize[];
  private readonly trainers: KeptTrainers;
  private learnt: PatchTensors = new Map();
  private made: Made | undefined;

  constructor(
    private readonly member: Member,
    private readonly options: PatchLearnerOptions,
  ) {
    this.sizes = Array.from({ length: member.points.length + 1 }, (_, size) => ({
      ...{ name: size === 1 ? "1 patch" : `${size} patches`, size },
    }));
    this.trainers = options.trainers ?? new KeptTrainers(options.machine);
  }

  async make(level: number, images: RunTensor): Promise<void> {
    if (this.made) await this.keep(this.made);
    this.made = undefined;
    const { threads, optimization } = this.options;
    const base = { ...this.member, source: await this.refresh(images) };
    const build = (count: number, weights?: PatchTensors): Model =>
      patchMember(base, this.groupsOf(count), { ...this.options.patches, seed: this.options.seed }, weights);
    const model = build(level, this.learnt);
    const plan = this.planOf(model, level);
    const trainer = await this.trainers.take(`patches ${level}`, model, { ...plan, threads, optimization });
    const neighbour = build(neighbourOf(level, this.sizes.length));
    this.made = { level, model, neighbour, plan, trainer, steps: 0 };
  }

  /** Without patches nothing trains. Throws: `config.invalid` for a lesson without labels. */
  async step({ images, targets }: Lesson): Promise<void> {
    const made = this.current();
    if (!made.plan.train) return;
    if (!targets)
      throw new LimberError(
        "config.invalid",
        "lesson: pictures with labels for patches, got none; give the app lessons",
      );
    const learningRate = this.options.learningRate ?? 1e-3;
    await made.trainer.step({ images, targets }, { learningRate, answers: false });
    made.steps++;
  }

  async exportModel(): Promise<Model> {
    const { trainer, model, steps } = this.current();
    return steps === 0 ? model : await trainer.exportModel();
  }

  makeNeighbour(): Promise<Model> {
    return Promise.resolve(this.current().neighbour);
  }

  stepBytes(batchSize: number): number {
    const { model, plan } = this.current();
    const { preprocessing } = this.member;
    const dims = [batchSize, channelsOf(preprocessing), preprocessing.height, preprocessing.width];
    return peakStepBytes(model, plan, dims);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.made = undefined;
    if (!this.options.trainers) await this.trainers[Symbol.asyncDispose]();
  }

  private groupsOf(count: number): number[] {
    const groups = this.member.points.map(({ group }) => group);
    return groupsFor(orderGroups(groups, { order: "deepFirst" }), count);
  }

  /** What stands beside the patches of a level and trains with them. */
  private alongOf(level: number): string[] {
    return level === 0
      ? []
      : [...groupBiases(this.member, this.groupsOf(level)), ...headParameters(this.member, "biases")];
  }

  private planOf(model: Model, level: number): StepOptions {
    if (level === 0) return FIXED;
    const along = this.alongOf(level);
    const scale = new Map(along.map((name) => [name, HEAD_SCALE]));
    const parameters = [...patchParameters(model), ...along];
    return { ...FIXED, train: { loss: this.member.head.loss, optimizer: adam(), parameters, scale } };
  }

  private async keep({ level, steps, model }: Made): Promise<void> {
    if (steps === 0) return;
    const trained = weightsOf(await this.exportModel(), [...patchParameters(model), ...this.alongOf(level)]);
    this.learnt = new Map([...this.learnt, ...trained]);
  }

  private async refresh(images: RunTensor): Promise<Model> {
    const { source } = this.member;
    if (statisticsOf(source).length === 0) return source;
    const { threads, optimization } = this.options;
    const statistics = { sourceWeight: 0, variance: "unbiased" } as const;
    const trainer = await this.trainers.take("statistics", source, { statistics, threads, optimization });
    await trainer.step({ images }, { statisticsMomentum: 1, answers: false });
    return trainer.exportModel();
  }

  private current(): Made {
    if (this.made) return this.made;
    throw new LimberError("config.invalid", "app: a model made before it trains or serves, got none; remodel first");
  }
}
