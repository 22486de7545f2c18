import { crossEntropy, type Gating, type Loss, type LossContext, type Val } from "../graph/index.js";

/** The further batches of a step, and at which sparsity the master sees each; its own batch it sees whole. */
export const BRANCHES = ["middle", "other", "sparsest", "fixed"] as const;
export type Branch = (typeof BRANCHES)[number];

/** Names of the inputs that a branch asks for. */
export const branchInputs = (branch: Branch) => ({
  images: branch,
  labels: `${branch} labels`,
  sparsity: `${branch} sparsity`,
});

export interface SandwichOptions {
  readonly gating: Gating;
  /** λ of Σ|g|, over images and channels. */
  readonly penalty: number;
  /** What is wanted of each prediction. Default: cross-entropy. */
  readonly loss?: Loss;
}

/**
 * Trains a master for every sparsity at once: the mean loss over four batches at sparsities 0, U, U' and the largest, with λ·Σ|g| of
 * their gates; and the loss of a fifth batch in a fixed sub-network, whose gates are all those of its first image, so that what
 * is cut for one image suits the others.
 *
 * Source: ElasticDNN's offline training (four sparsities as in Yu & Huang 2019, arXiv:1903.05134). Differs: the sub-network is
 * part of the same update rather than an update of its own.
 */
export const sandwich = ({ gating, penalty, loss = crossEntropy() }: SandwichOptions): Loss => ({
  name: "sandwich",
  targets: loss.targets,
  ...(loss.ignoredLabel !== undefined && { ignoredLabel: loss.ignoredLabel }),
  build(context) {
    const { emit, input } = context;
    const wanted = context.targets;
    const lossOf = (pass: Pick<LossContext, "output" | "value">, targets: Val | undefined): Val =>
      loss.build({ ...context, ...pass, targets });
    const gatesOf = ({ value }: Pick<LossContext, "value">): Val =>
      gating.gates.map(({ scores }) => emit.sumAll(value(scores))).reduce((a, b) => emit.add(a, b));
    const open = (branch: Branch) => {
      const names = branchInputs(branch);
      const sparsity = input(names.sparsity, { dtype: "float32", dims: [1] });
      return {
        ...context.pass(names.images, "current", new Map([[gating.sparsity, sparsity]])),
        targets: wanted && input(names.labels, wanted),
      };
    };
    const passes = [{ output: context.output, value: context.value, targets: wanted }];
    for (const branch of ["middle", "other", "sparsest"] as const) passes.push(open(branch));
    const terms = passes.map((pass) => {
      const each = lossOf(pass, pass.targets);
      return penalty === 0 ? each : emit.add(each, emit.mul(gatesOf(pass), penalty));
    });
    const joint = emit.div(
      terms.reduce((a, b) => emit.add(a, b)),
      terms.length,
    );
    const free = open("fixed");
    const vectors = gating.gates.map(({ vector }): [string, Val] => {
      const each = free.value(vector);
      return [vector, emit.detach(emit.expand(emit.slice(each, [0], [0], [1]), each.dims))];
    });
    const fixed = context.pass(branchInputs("fixed").images, "current", new Map(vectors));
    return emit.add(joint, lossOf(fixed, free.targets));
  },
});
