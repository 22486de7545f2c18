import { drawMark, html, type Html } from "../../demo/index.js";
import { signed } from "../page.js";
import type { ScheduleCell } from "./headline.js";
import type { GrowthRow, ScheduleRow } from "./rows.js";

/** An estimate beside what was true. */
export interface EstimatePoint {
  readonly kind: string;
  readonly estimated: number;
  readonly measured: number;
}

type Look = ScheduleRow["kind"];
const MARKS = { ours: "diamond", baseline: "circle", ablation: "square" } as const satisfies Record<
  Look,
  Parameters<typeof drawMark>[0]
>;

const WIDTH = 1080;
const round = (value: number): number => Math.round(10 * value) / 10;
export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

const LINE = 19;
const NAMES = 190;
const FIGURES = 250;

/** One scenario: a line for each planner, its mean score and the range over the seeds; the best first. */
export function drawCell({ planners, seeds }: ScheduleCell, [low, high]: readonly [number, number]): Html {
  const ordered = planners.toSorted((a, b) => b.score - a.score);
  const ours = planners.find(({ kind }) => kind === "ours");
  const height = ordered.length * LINE + 34;
  const xOf = (score: number): number => round(NAMES + ((score - low) / (high - low)) * (WIDTH - NAMES - FIGURES));
  const grid = ticksOf(low, high).map(
    (tick) =>
      html`<line class="grid" x1="${xOf(tick)}" x2="${xOf(tick)}" y1="0" y2="${height - 22}" />
        <text class="name" x="${xOf(tick)}" y="${height - 6}">${percent(tick)}</text>`,
  );
  const lines = ordered.map(({ planner, kind, score, lowest, highest, worstScore }, i) => {
    const y = 12 + i * LINE;
    const beside = ours && kind !== "ours" ? `, ours ${signed(100 * (ours.score - score))}` : "";
    return html`<text class="planner ${kind}" x="${NAMES - 14}" y="${y + 4}">${planner}</text>
      <g class="series ${kind}">
        <line class="range" x1="${xOf(lowest)}" x2="${xOf(highest)}" y1="${y}" y2="${y}" />
        <g
          >${drawMark(MARKS[kind], xOf(score), y)}<title>
            ${planner}: ${percent(score)}, from ${percent(lowest)} to ${percent(highest)} over ${seeds} seeds
          </title></g
        >
      </g>
      <text class="figures" x="${WIDTH - FIGURES + 18}" y="${y + 4}"
        >${percent(score)}${beside}, least app ${percent(worstScore)}</text
      >`;
  });
  return html`<svg class="chart cell" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Score by planner">
    ${grid}${lines}
  </svg>`;
}

/** The scores that all charts of cells share. */
export function scaleOf(cells: readonly ScheduleCell[]): readonly [number, number] {
  const values = cells.flatMap(({ planners }) => planners.flatMap(({ lowest, highest }) => [lowest, highest]));
  return [Math.max(0, Math.min(...values) - 0.01), Math.min(1, Math.max(...values) + 0.01)];
}

function ticksOf(low: number, high: number): number[] {
  const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((each) => (high - low) / each <= 10) ?? 0.5;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

const COLOURS = 8;
const SQUARE = { left: 74, right: 190, top: 14, height: 280, bottom: 44 };

/** Median time of a decision against the number of apps, both logarithmic. */
export function drawGrowth(rows: readonly GrowthRow[]): Html {
  const { left, right, top, height, bottom } = SQUARE;
  const times = rows.flatMap(({ decisionMs }) => [decisionMs.median, decisionMs.max]).filter((ms) => ms > 0);
  const decades = (values: readonly number[]): readonly [number, number] => [
    Math.floor(Math.log10(Math.min(...values))),
    Math.ceil(Math.log10(Math.max(...values))),
  ];
  const [fewest, most] = decades(rows.map(({ apps }) => apps));
  const [quick, slow] = decades(times);
  const xOf = (apps: number): number =>
    round(left + ((Math.log10(apps) - fewest) / Math.max(1, most - fewest)) * (WIDTH - left - right));
  const yOf = (ms: number): number =>
    round(top + height * (1 - (Math.log10(Math.max(ms, 10 ** quick)) - quick) / Math.max(1, slow - quick)));
  const powers = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
  const grid = powers(quick, slow).map(
    (ms) =>
      html`<line class="grid" x1="${left}" x2="${WIDTH - right}" y1="${yOf(ms)}" y2="${yOf(ms)}" />
        <text class="tick" x="${left - 8}" y="${yOf(ms) + 4}">${ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`}</text>`,
  );
  const columns = powers(fewest, most).map(
    (apps) =>
      html`<text class="name" x="${xOf(apps)}" y="${top + height + 20}">${apps.toLocaleString("en")} apps</text>`,
  );
  const limits = [
    { apps: 16, ms: 10 },
    { apps: 10_000, ms: 1000 },
  ].map(({ apps, ms }) => {
    const text = `at most ${ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`} for ${apps.toLocaleString("en")} apps`;
    return html`<g class="limit"
      ><path d="M${xOf(apps) - 9} ${yOf(ms)}h18" /><text x="${xOf(apps) + 14}" y="${yOf(ms) + 4}">${text}</text></g
    >`;
  });
  const lines = [...new Set(rows.map(({ planner }) => planner))].map((planner, i) => {
    const own = rows.filter((row) => row.planner === planner).toSorted((a, b) => a.apps - b.apps);
    const places = own.map(({ apps, decisionMs }) => [xOf(apps), yOf(decisionMs.median)] as const);
    const marks = own.map(
      ({ apps, decisionMs: { median, max } }, k) =>
        html`<g
          >${drawMark(i === 0 ? "diamond" : "circle", ...places[k]!)}<title>
            ${planner}, ${apps} apps: ${median.toFixed(2)} ms, at most ${max.toFixed(2)} ms
          </title></g
        >`,
    );
    return html`<g class="series ${i === 0 ? "ours" : "baseline"}">
      <polyline points="${places.map((place) => place.join(",")).join(" ")}" />${marks}
    </g>`;
  });
  return html`<svg
    class="chart growth"
    viewBox="0 0 ${WIDTH} ${top + height + bottom}"
    role="img"
    aria-label="Time of a decision against the number of apps"
  >
    ${grid}${columns}${limits}${lines}
  </svg>`;
}

const SCATTER = { left: 60, top: 12, side: 420, bottom: 40 };

/** True scores against estimates; on the diagonal the two are equal. */
export function drawScatter(points: readonly EstimatePoint[]): Html {
  const { left, top, side, bottom } = SCATTER;
  const kinds = [...new Set(points.map(({ kind }) => kind))];
  const values = points.flatMap(({ estimated, measured }) => [estimated, measured]);
  const low = Math.max(0, Math.floor(10 * Math.min(...values)) / 10);
  const xOf = (value: number): number => round(left + (side * (value - low)) / (1 - low));
  const yOf = (value: number): number => round(top + (side * (1 - value)) / (1 - low));
  const ticks = ticksOf(low, 1);
  const grid = ticks.map(
    (tick) =>
      html`<line class="grid" x1="${left}" x2="${left + side}" y1="${yOf(tick)}" y2="${yOf(tick)}" />
        <text class="tick" x="${left - 8}" y="${yOf(tick) + 4}">${Math.round(100 * tick)} %</text>
        <text class="name" x="${xOf(tick)}" y="${top + side + 20}">${Math.round(100 * tick)} %</text>`,
  );
  const dots = points.map(
    ({ kind, estimated, measured }) =>
      html`<circle
        class="dot s${kinds.indexOf(kind) % COLOURS}"
        cx="${xOf(estimated)}"
        cy="${yOf(measured)}"
        r="2.6"
      />`,
  );
  const legend = kinds.map(
    (kind, i) =>
      html`<circle class="dot s${i % COLOURS}" cx="${left + side + 40}" cy="${top + 20 + 22 * i}" r="6" />
        <text x="${left + side + 54}" y="${top + 24 + 22 * i}">${kind}</text>`,
  );
  return html`<svg
    class="chart scatter"
    viewBox="0 0 ${WIDTH} ${top + side + bottom}"
    role="img"
    aria-label="True scores against estimates"
  >
    ${grid}
    <line class="even" x1="${xOf(low)}" y1="${yOf(low)}" x2="${xOf(1)}" y2="${yOf(1)}" />
    ${dots}${legend}
  </svg>`;
}
