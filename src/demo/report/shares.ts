import { html, type Html } from "./html.js";

/** Who has which share of the device from a time on, until the next. */
export interface ShareSeries {
  readonly title: string;
  readonly endMs: number;
  readonly apps: readonly string[];
  /** Times rise; shares in the order of the apps, all together at most 1. */
  readonly points: readonly { readonly atMs: number; readonly shares: readonly number[] }[];
  /** What happened, to be marked. */
  readonly events: readonly { readonly atMs: number; readonly name: string }[];
}

const WIDTH = 1080;
const round = (value: number): number => Math.round(10 * value) / 10;
const STACK = { left: 52, right: 150, top: 26, height: 300 };
const COLOURS = 8;

/** Shares one on the other; the rest of the device is nobody's. */
export function drawShares({ endMs, apps, points, events, title }: ShareSeries): Html {
  const { left, right, top, height } = STACK;
  const xOf = (ms: number): number => round(left + (ms / endMs) * (WIDTH - left - right));
  const yOf = (share: number): number => round(top + height * (1 - share));
  const stacks = points.map(({ shares }) =>
    shares.reduce<number[]>((sums, share) => [...sums, sums.at(-1)! + share], [0]),
  );
  const layers = apps.map((app, a) => {
    const edge = (which: number): [number, number][] =>
      points.flatMap(({ atMs }, i): [number, number][] => {
        const y = yOf(stacks[i]![which]!);
        return [
          [xOf(atMs), y],
          [xOf(points[i + 1]?.atMs ?? endMs), y],
        ];
      });
    const outline = [...edge(a + 1), ...edge(a).reverse()].map((place) => place.join(",")).join(" ");
    return html`<polygon class="share s${a % COLOURS}" points="${outline}"><title>${app}</title></polygon>`;
  });
  const last = stacks.at(-1) ?? [];
  const middles = apps.map((_, a) => yOf(((last[a] ?? 0) + (last[a + 1] ?? 0)) / 2));
  const names = spread(middles, 14).map(
    (y, a) => html`<text class="app" x="${WIDTH - right + 10}" y="${round(y + 4)}">${apps[a]!}</text>`,
  );
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      html`<line class="grid" x1="${left}" x2="${WIDTH - right}" y1="${yOf(share)}" y2="${yOf(share)}" />
        <text class="tick" x="${left - 8}" y="${yOf(share) + 4}">${100 * share} %</text>`,
  );
  const marks = events.map(
    ({ atMs, name }) =>
      html`<g class="event"
        ><path d="M${xOf(atMs)} ${top - 4}l-4 -9h8z" /><title>${name}, at ${(atMs / 1000).toFixed(1)} s</title></g
      >`,
  );
  const times = Array.from({ length: 6 }, (_, i) => (i / 5) * endMs).map(
    (ms) => html`<text class="name" x="${xOf(ms)}" y="${top + height + 20}">${seconds(ms)}</text>`,
  );
  return html`<svg class="chart shares" viewBox="0 0 ${WIDTH} ${top + height + 30}" role="img" aria-label="${title}">
    ${layers}${grid}${names}${marks}${times}
  </svg>`;
}

const seconds = (ms: number): string =>
  `${ms >= 60_000 ? (ms / 60_000).toFixed(1) : (ms / 1000).toFixed(1)} ${ms >= 60_000 ? "min" : "s"}`;

/** Moves labels apart, as little as that takes: those that fall (as y does along a stack) stay in order. */
function spread(places: readonly number[], least: number): number[] {
  const moved = [...places];
  for (let i = 1; i < moved.length; i++) moved[i] = Math.min(moved[i]!, moved[i - 1]! - least);
  return moved;
}

/** Colours of apps, and marks of what happened. */
export const SHARES_STYLE = `
.s0 { fill: #4e79a7 } .s1 { fill: #f28e2b } .s2 { fill: #59a14f } .s3 { fill: #b07aa1 } .s4 { fill: #e15759 } .s5 { fill: #76b7b2 } .s6 { fill: #edc948 } .s7 { fill: #9c755f }
.share { stroke: var(--panel); stroke-width: 0.6 } .shares .grid { stroke-opacity: 0.5 } .event path { fill: var(--soft) }`;
