import type { ChannelGroup } from "../graph/index.js";
import { formatCount, formatTable } from "./format.js";

/** What `--json` says of a group: everything but the positions of each unit. */
export const summarizeGroup = ({ id, size, granularity, members, reason, overlaps }: ChannelGroup) => ({
  ...{ id, size, granularity, prunable: reason === undefined, reason: reason ?? null, overlaps },
  members: members.map(({ initializer, axis, side, indices }) => ({
    ...{ initializer, axis, side, perUnit: indices[0]!.length },
  })),
});

/** Groups that can be cut, one a line, then the others by what keeps them whole. */
export function formatGroups(groups: readonly ChannelGroup[]): string {
  const prunable = groups.filter(({ reason }) => reason === undefined);
  const rows = prunable.map(({ id, size, granularity, members, overlaps }) => [
    id,
    ...[size, granularity, new Set(members.map(({ initializer }) => initializer)).size].map(formatCount),
    overlaps.length === 0 ? "" : overlaps.join(", "),
  ]);
  const table = formatTable(["channel group", "units", "channels each", "weights", "or cut as"], rows);
  const blocked = groups.filter(({ reason }) => reason !== undefined);
  return [...(rows.length === 0 ? ["no channel group can be cut"] : [table]), ...formatBlocked(blocked)].join("\n");
}

/** Groups by what keeps them whole. */
export function formatBlocked(groups: readonly ChannelGroup[]): string[] {
  const byReason = new Map<string, string[]>();
  for (const { id, reason } of groups) byReason.set(reason!, [...(byReason.get(reason!) ?? []), id]);
  const lines = [...byReason].map(([reason, ids]) => {
    const more = ids.length > 3 ? ` and ${ids.length - 3} more` : "";
    return `  ${ids.slice(0, 3).join(", ")}${more}: ${reason}`;
  });
  return lines.length === 0 ? [] : ["", "cannot be cut:", ...lines];
}
