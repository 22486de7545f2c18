import { type Loss, oneHot } from "./losses.js";

/**
 * 1 - the mean of the Dice coefficients 2 Σ p q / (Σ p + Σ q) of the classes that the labels show, the sums over all pixels of the
 * batch that count: small classes weigh as much as large ones. 0 where no pixel counts.
 *
 * Shapes: output [N, K, H, W] with labels [N, H, W].
 * Source: Milletari et al. 2016, V-Net, arXiv:1606.04797, §3. Differs: no squares in the denominator, and several classes, as in
 * Sudre et al. 2017, arXiv:1707.03237.
 */
export const diceLoss = (options: { ignoredLabel?: number } = {}): Loss => ({
  name: "dice",
  targets: "labels",
  ...(options.ignoredLabel !== undefined && { ignoredLabel: options.ignoredLabel }),
  build({ emit, output, targets }) {
    const hot = oneHot(emit, targets!, output, 0, 1);
    const soft = emit.softmax(output, 1);
    const { ignoredLabel } = options;
    const counts =
      ignoredLabel === undefined
        ? undefined
        : emit.reshape(
            emit.cast(emit.node("Not", [emit.equal(targets!, emit.ints([ignoredLabel]))])[0], output.dtype),
            output.dims.with(1, 1),
          );
    const [q, p] = counts ? [emit.mul(hot, counts), emit.mul(soft, counts)] : [hot, soft];
    const shown = emit.sumToChannel(q);
    const overlap = emit.sumToChannel(emit.mul(p, q));
    const each = emit.div(emit.mul(overlap, 2), emit.max(emit.add(emit.sumToChannel(p), shown), 1e-12));
    const isShown = emit.cast(emit.greater(shown, 0), output.dtype);
    const classes = emit.sumAll(isShown);
    return emit.div(emit.sumAll(emit.mul(emit.sub(emit.scalar(1, each), each), isShown)), emit.max(classes, 1));
  },
});
