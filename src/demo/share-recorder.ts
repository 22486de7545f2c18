import type { LiveApp, LiveEntry } from "../schedule/index.js";
import type { ShareSeries } from "./report/shares.js";

/** Shares as plans gave them, from the journal of a live run. */
export class ShareRecorder {
  private readonly points: ShareSeries["points"][number][] = [];
  private readonly events: ShareSeries["events"][number][] = [];
  private readonly names: readonly string[];

  constructor(apps: readonly LiveApp[]) {
    this.names = apps.map(({ app }) => app.name);
  }

  add(entry: LiveEntry): void {
    const { atMs } = entry;
    if (entry.kind === "drifted") this.events.push({ atMs, name: `${entry.app}: ${entry.surroundings}` });
    if (entry.kind !== "plan") return;
    const shareOf = new Map(entry.plan.allocations.map(({ app, share }) => [app, share]));
    this.points.push({ atMs, shares: this.names.map((name) => shareOf.get(name) ?? 0) });
  }

  series(title: string, endMs: number): ShareSeries {
    return { title, endMs, apps: this.names, points: this.points, events: this.events };
  }
}
