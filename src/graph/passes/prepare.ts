import type { Model } from "../ir/index.js";
import { inlineBranches } from "./branches.js";
import { foldConstants } from "./fold.js";
import { separateStatistics } from "./statistics.js";
import { sweepDead } from "./sweep.js";
import { upgradeOpset } from "./upgrade.js";

/**
 * A model as the rest of Limber wants it: opset 17 or later, exporters' constant arithmetic and decisions resolved, nothing
 * dead, running statistics of each normalization its own.
 * Inputs, outputs, names of weights and metadata are kept, and so is every result.
 * Throws: `op.unsupported` for an opset out of range.
 */
export function prepareModel(model: Model): Model {
  return separateStatistics(sweepDead(resolve(upgradeOpset(model))));
}

/** Folding makes conditions constant, and the branches that are taken leave more to fold. */
function resolve(model: Model): Model {
  const folded = foldConstants(model);
  const inlined = inlineBranches(folded);
  return inlined === folded ? folded : resolve(inlined);
}
