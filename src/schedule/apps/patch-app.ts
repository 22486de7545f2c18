import { taskOf } from "../../vision/index.js";
import type { Member } from "../../patch/index.js";
import type { RunningApp } from "../running-app.js";
import { openApp } from "./elastic-app.js";
import { type AppOptions, HostedApp } from "./hosted-app.js";
import { PatchLearner, type PatchLearnerOptions } from "./patch-learner.js";

export interface PatchAppOptions extends AppOptions, Omit<PatchLearnerOptions, "machine" | "trainers"> {
  /** Labelled pictures of the present surroundings, a batch at a time. */
  readonly lessons: NonNullable<AppOptions["lessons"]>;
}

/** An app whose levels are numbers of patches, trained on lessons with labels. With pictures of the source it serves at once. */
export function createPatchApp(member: Member, options: PatchAppOptions): Promise<RunningApp> {
  const task = taskOf(member.source);
  const createLearner = (machine: PatchLearnerOptions["machine"]) => new PatchLearner(member, { ...options, machine });
  return openApp(new HostedApp({ ...options, task: task.name, head: member.head, createLearner }), options);
}
