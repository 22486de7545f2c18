import type { Axis, Labels } from "./labels.js";
import type { ChannelRule } from "./rule.js";

/** Axes that run side by side, the last ones together; what has size 1 goes along with anything. */
export function broadcastAxes(labels: Labels, operands: readonly (readonly Axis[])[]): Axis[] {
  const rank = Math.max(0, ...operands.map((axes) => axes.length));
  return Array.from({ length: rank }, (_, i) => {
    const along = operands.flatMap((axes) => axes[i - rank + axes.length] ?? []).filter((axis) => axis.length !== 1);
    const longest = along.reduce((a, b) => (b.length > a.length ? b : a), along[0] ?? labels.fixed(1));
    for (const axis of along) labels.same(longest, axis);
    return longest;
  });
}

/** Every output looks like the first input; other inputs are settings. */
export const alike: ChannelRule = ({ axes, node }) => node.outputs.map(() => axes(0));

export const broadcast: ChannelRule = ({ labels, axes, node }) => [
  broadcastAxes(
    labels,
    node.inputs.map((_, i) => axes(i)),
  ),
];

/** The second input only lends its element type. */
export const castLike: ChannelRule = ({ axes }) => {
  axes(1);
  return [axes(0)];
};
