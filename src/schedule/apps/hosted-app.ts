import { LimberError, Random } from "../../base/index.js";
import type { Model } from "../../graph/index.js";
import {
  createMachine,
  KeptTrainers,
  type Machine,
  Predictor,
  type RunTensor,
  type SessionOptions,
} from "../../run/node.js";
import type { TaskHead, TaskName } from "../../vision/index.js";
import type { Level } from "../app.js";
import { signalsOf, type SourceReference } from "../estimate/signals.js";
import type { RunningApp } from "../running-app.js";
import type { Signals } from "../trace.js";
import { answer } from "./answers.js";
import { type Learner, type LevelSize, type Lesson } from "./learner.js";
import { Pictures } from "./pictures.js";

/** What apps of every kind take. */
export interface AppOptions extends SessionOptions {
  readonly name: string;
  /** Costs as profiled, by the name of the level; unknown ones count as 0 until they are measured. */
  readonly levels?: readonly Level[] | undefined;
  /** What signals are compared with, by level; where it is missing there are none. */
  readonly reference?: SourceReference | undefined;
  /** Pictures of the source: the first model is made for them. */
  readonly pictures?: RunTensor | undefined;
  /** Pictures kept. Default 256. */
  readonly capacity?: number | undefined;
  /** Pictures that signals are read from. Default 64. */
  readonly seen?: number | undefined;
  readonly batchSize?: number | undefined;
  /** Where predictions run; default: a machine of its own. */
  readonly serving?: Machine | undefined;
  /** Where it trains; default: another machine of its own. */
  readonly training?: Machine | undefined;
  /** What it learns from; default: pictures that it saw, without labels. */
  readonly lessons?: (() => Promise<Lesson>) | undefined;
  readonly seed?: number | undefined;
}

interface Hosting extends AppOptions {
  readonly task: TaskName;
  readonly head: TaskHead<unknown>;
  readonly createLearner: (machine: Machine) => Learner;
}

/** A model that serves beside a learner, each on a machine of its own. */
export class HostedApp implements RunningApp {
  readonly name: string;
  readonly task: TaskName;
  private costs: readonly Level[];
  private present: { readonly level: number; steps: number } | undefined;
  private served: Served | undefined;
  private readonly pictures: Pictures;
  private readonly random: Random;
  private readonly serving: Machine;
  private readonly trainers: KeptTrainers;
  private readonly learner: Learner;
  private readonly owned: readonly Machine[];

  constructor(private readonly options: Hosting) {
    const { name, task, capacity, seed = 0, levels = [], pictures } = options;
    this.serving = options.serving ?? createMachine();
    const training = options.training ?? createMachine({ priority: "background" });
    this.owned = [this.serving, training].filter((each) => each !== options.serving && each !== options.training);
    [this.name, this.task] = [name, task];
    this.learner = options.createLearner(training);
    this.trainers = new KeptTrainers(training);
    this.pictures = new Pictures(capacity);
    this.random = new Random(seed).fork(`lessons ${name}`);
    this.costs = this.learner.sizes.map((size) => levels.find((level) => level.name === size.name) ?? unmeasured(size));
    if (pictures) this.observe(pictures);
  }

  /** Memory of a level that was not profiled is known from when its model was first made: it is that of all its models. */
  get levels(): readonly Level[] {
    return this.costs;
  }

  get level(): number | undefined {
    return this.present?.level;
  }

  get steps(): number {
    return this.present?.steps ?? 0;
  }

  observe(images: RunTensor): void {
    this.pictures.add(images);
  }

  forget(kept: number): void {
    this.pictures.keep(kept);
  }

  async predict(images: RunTensor): Promise<RunTensor> {
    return this.serves().predict(images);
  }

  async remodel(level: number): Promise<void> {
    if (!this.levels[level]) {
      const message = `app "${this.name}": a level from 0 to ${this.levels.length - 1}, got ${level}; choose one of its levels`;
      throw new LimberError("config.invalid", message, { app: this.name, level });
    }
    await this.learner.make(level, this.pictures.latest(this.batchSize));
    this.present = { level, steps: 0 };
    if (this.levels[level].memoryBytes > 0) return;
    const memoryBytes = this.learner.stepBytes(this.batchSize);
    this.costs = this.costs.map((each, i) => (i === level ? { ...each, memoryBytes } : each));
  }

  async step(): Promise<void> {
    await this.learner.step(
      (await this.options.lessons?.()) ?? { images: this.pictures.draw(this.batchSize, this.random) },
    );
    if (this.present) this.present.steps++;
  }

  async swap(): Promise<void> {
    const { threads, optimization } = this.options;
    const [level, model] = [this.present?.level ?? 0, await this.learner.exportModel()];
    const predictor = await Predictor.create(this.serving, model, { threads, optimization });
    const before = this.served;
    this.served = new Served(level, model, predictor);
    await before?.end();
  }

  async signals(): Promise<Signals> {
    const { reference, head, seen = 64, threads, optimization } = this.options;
    if (!reference)
      throw new LimberError(
        "config.invalid",
        `app "${this.name}": a reference of its source, got none; measure one first`,
      );
    const { level, model } = this.serves();
    const images = this.pictures.latest(seen);
    const asking = { trainers: this.trainers, threads, optimization };
    return signalsOf(await answer(model, images, { ...asking, key: String(level) }), head, reference, level);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.served?.end();
    await this.learner[Symbol.asyncDispose]();
    await this.trainers[Symbol.asyncDispose]();
    for (const machine of this.owned) await machine[Symbol.asyncDispose]();
  }

  private get batchSize(): number {
    return this.options.batchSize ?? 32;
  }

  private serves(): Served {
    if (this.served) return this.served;
    throw new LimberError(
      "config.invalid",
      `app "${this.name}": a model that serves, got none; remodel and swap first`,
    );
  }
}

/** A model at work. */
class Served {
  private readonly running = new Set<Promise<unknown>>();

  constructor(
    readonly level: number,
    readonly model: Model,
    private readonly predictor: Predictor,
  ) {}

  async predict(images: RunTensor): Promise<RunTensor> {
    const run = this.predictor.predict(images);
    this.running.add(run);
    try {
      return (await run).output;
    } finally {
      this.running.delete(run);
    }
  }

  /** Answers what it was asked already, then goes. */
  async end(): Promise<void> {
    await Promise.allSettled(this.running);
    await this.predictor.dispose();
  }
}

/** A size whose costs nobody has measured. */
const unmeasured = (size: LevelSize): Level => ({ ...size, inferMs: 0, stepMs: 0, makeMs: 0, memoryBytes: 0 });
