import { fixSparsity, type Model, selectStatistics } from "../../graph/index.js";
import { taskOf } from "../../vision/index.js";
import type { RunningApp } from "../running-app.js";
import { ElasticLearner, type ElasticLearnerOptions } from "./elastic-learner.js";
import { type AppOptions, HostedApp } from "./hosted-app.js";
import { type AppMethod, methodOf } from "./methods.js";

export interface ElasticAppOptions
  extends AppOptions, Omit<ElasticLearnerOptions, "machine" | "trainers" | keyof AppMethod> {
  /** How it learns. Default: what gains most for the task. */
  readonly learns?: AppMethod | undefined;
}

/**
 * An app whose levels are the sparsities of a master. With pictures of the source it serves at once, the smallest model.
 * Throws: as `ElasticLearner`; `method.unsuitable` for a model whose task is unknown.
 */
export async function createElasticApp(master: Model, options: ElasticAppOptions): Promise<RunningApp> {
  const task = taskOf(master);
  const head = task.open(fixSparsity(selectStatistics(master, 0), 0), options.preprocessing);
  const createLearner = (machine: ElasticLearnerOptions["machine"]) =>
    new ElasticLearner(master, { ...options, ...(options.learns ?? methodOf(task.name, head)), machine });
  return openApp(new HostedApp({ ...options, task: task.name, head, createLearner }), options);
}

/** Lets an app serve its smallest model where it knows pictures of the source. */
export async function openApp(app: HostedApp, { pictures }: AppOptions): Promise<RunningApp> {
  try {
    if (pictures) {
      await app.remodel(0);
      await app.swap();
    }
    return app;
  } catch (error) {
    await app[Symbol.asyncDispose]();
    throw error;
  }
}
