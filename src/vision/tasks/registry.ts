import { formatShape, LimberError } from "../../base/index.js";
import type { Model } from "../../graph/index.js";
import { classification } from "./classification/classification.js";
import { detection } from "./detection/index.js";
import { readTaskRecord } from "./metadata.js";
import { segmentation } from "./segmentation/segmentation.js";
import type { Task, TaskName } from "./task.js";

/** All tasks by their names. */
export const TASK_TABLE: Readonly<Record<TaskName, Task>> = { classification, detection, segmentation };

/**
 * What a model is for: what its metadata says, else what the shape of its first output says, [N, K] or [N, K, H, W].
 * Throws: `method.unsuitable` where neither does.
 */
export function taskOf(model: Model): Task {
  const record = readTaskRecord(model);
  if (record) return TASK_TABLE[record.task];
  const dims = model.graph.outputs[0]?.dims;
  if (!dims || (dims.length >= 2 && dims.slice(2).every((size) => size === 1))) return classification;
  if (dims.length === 4) return segmentation;
  const message = `model: a first output [N,K] or [N,K,H,W], or metadata "limber.task", got ${formatShape(dims)}; say with writeTaskRecord what the model is for`;
  throw new LimberError("method.unsuitable", message, { got: dims });
}
