import { fixSparsity, gatesOf, type Model, selectStatistics } from "../../graph/index.js";
import { createMember } from "../../patch/index.js";
import { type Preprocessing, taskOf } from "../../vision/index.js";
import { ElasticLearner } from "../apps/elastic-learner.js";
import { methodOf } from "../apps/methods.js";
import { PatchLearner } from "../apps/patch-learner.js";
import type { RecordedApp } from "../record/record-trace.js";
import type { OpenKindOptions } from "./app-kind.js";

/** As in the line, see docs/patchline.md. */
const PATCHES = { learningRate: 0.003, patches: { form: "joint" } } as const;

/** Whether a model has gates: it then learns by ElasticDNN, any other by patches. */
export const isMaster = (model: Model): boolean => gatesOf(model).gates.length > 0;

/** An app of a model, whose task is what `taskOf` finds. Throws: `method.unsuitable`. */
export function openModelApp(
  kind: string,
  model: Model,
  { preprocessing, sparsities, threads }: OpenKindOptions & { readonly preprocessing: Preprocessing },
): RecordedApp {
  const task = taskOf(model);
  const shared = { kind, task: task.name, metric: task.metric, preprocessing };
  if (!isMaster(model)) {
    const member = createMember(model, { name: kind, preprocessing, before: 0 });
    return {
      ...{ ...shared, head: member.head, isTaught: true },
      createLearner: (machine, trainers) => new PatchLearner(member, { ...PATCHES, machine, trainers, threads }),
    };
  }
  const head = task.open(fixSparsity(selectStatistics(model, 0), 0), preprocessing);
  const learns = methodOf(task.name, head);
  return {
    ...{ ...shared, head, isTaught: learns.method.labels === "required" },
    createLearner: (machine, trainers) =>
      new ElasticLearner(model, { ...learns, preprocessing, sparsities, machine, trainers, threads }),
  };
}
