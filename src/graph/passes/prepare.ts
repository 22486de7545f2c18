import type { Model } from "../ir/index.js";
import { foldConstants } from "./fold.js";
import { sweepDead } from "./sweep.js";
import { upgradeOpset } from "./upgrade.js";

/**
 * A model as the rest of Limber wants it: opset 17 or later, exporters' constant arithmetic folded, nothing dead.
 * Inputs, outputs, names of weights and metadata are kept, and so is every result.
 * Throws: `op.unsupported` for an opset out of range.
 */
export function prepareModel(model: Model): Model {
  return sweepDead(foldConstants(upgradeOpset(model)));
}
