import { costOf, inferShapes, type Model, stepCost } from "../graph/index.js";
import { channelsOf, type Preprocessing } from "../vision/index.js";
import type { Course } from "./fine-tune.js";
import type { Ledger } from "./ledger.js";
import type { Member } from "./member.js";

/** Books what a course has cost; frozen layers of a sample that were known from an epoch before cost nothing again. */
export function bookCourse(
  ledger: Ledger | undefined,
  { name, preprocessing }: Pick<Member, "name" | "preprocessing">,
  model: Model,
  { stretches, trained: all, measured, trainMs, measureMs }: Course,
): void {
  const bound = bindImage(model, preprocessing);
  for (const { parameters, trained, cached } of stretches) {
    const seconds = all > 0 ? ((trained / all) * trainMs) / 1000 : 0;
    ledger?.addSteps(name, stepCost(bound, { parameters }), { images: trained, cached, seconds });
  }
  const macs = measured * costOf(bound).macs;
  ledger?.add({ model: name, technique: "evaluation", macs, seconds: measureMs / 1000, count: measured });
}

/** The model for one image of its size. */
function bindImage(model: Model, preprocessing: Preprocessing): Model {
  const { height, width, layout } = preprocessing;
  const channels = channelsOf(preprocessing);
  const dims = layout === "NCHW" ? [1, channels, height, width] : [1, height, width, channels];
  const input = model.graph.inputs.find(({ name }) => !model.graph.initializers.has(name))!.name;
  return inferShapes(model, { inputDims: { [input]: dims } });
}

/** Multiply-accumulates of a prediction. */
export const forwardMacs = (model: Model, preprocessing: Preprocessing): number =>
  costOf(bindImage(model, preprocessing)).macs;
