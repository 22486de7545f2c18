import { drawMark, html, type Html } from "../../demo/index.js";
import type { ContestantFigures, ElasticRow } from "./rows.js";

const WIDTH = 1080;
const LEFT = 52;
const RIGHT = 12;
const TOP = 14;
const HEIGHT = 300;

/** One contestant as a line: its colour and marker are the same in every part of the page. */
export interface Series {
  readonly contestant: string;
  readonly look: "elastic" | "source" | "small" | "large" | "compressed";
}

const MARKS = {
  elastic: "diamond",
  source: "square",
  small: "circle",
  large: "square",
  compressed: "diamond",
} as const satisfies Record<Series["look"], Parameters<typeof drawMark>[0]>;

export const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export const drawLegend = (series: readonly Series[]): Html =>
  html`<ul class="legend">
    ${series.map(
      ({ contestant, look }) =>
        html`<li>
          <svg viewBox="0 0 34 16" aria-hidden="true">
            <g class="series ${look}">
              <polyline points="0,8 34,8" />
              ${drawMark(MARKS[look], 17, 8)}
            </g></svg
          >${contestant}
        </li>`,
    )}
  </ul>`;

/** Accuracy after each stay, the mean over the sequences; rounds stand on bands. */
export function drawStays(rows: readonly ElasticRow[], series: readonly Series[]): Html {
  const stays = Math.max(...rows.map(({ position }) => position)) + 1;
  const column = (WIDTH - LEFT - RIGHT) / stays;
  const xOf = (position: number): number => round(LEFT + (position + 0.5) * column);
  const lines = series.map(({ contestant, look }) => ({
    ...{ contestant, look },
    points: meansBy(
      rows.filter((row) => row.contestant === contestant),
      ({ position }) => position,
    ),
  }));
  const { yOf, grid } = shareAxis(lines.flatMap(({ points }) => points.map(({ accuracy }) => accuracy)));
  const bands = distinct(rows.map((row) => row.round)).map((index) => {
    const positions = rows.flatMap((row) => (row.round === index ? [row.position] : []));
    const [from, to] = [Math.min(...positions), Math.max(...positions)];
    const left = LEFT + from * column;
    return html`${index % 2 === 0 ? [html`<rect class="band" x="${round(left)}" y="${TOP}" width="${round((to - from + 1) * column)}" height="${HEIGHT}" />`] : []}
      <text class="name" x="${round((xOf(from) + xOf(to)) / 2)}" y="${TOP + HEIGHT + 40}">round ${index + 1}</text>`;
  });
  const labels = Array.from(
    { length: stays },
    (_, position) => html`<text class="name" x="${xOf(position)}" y="${TOP + HEIGHT + 20}">${position + 1}</text>`,
  );
  const drawn = lines.map(({ contestant, look, points }) => {
    const places = points.map(({ key, accuracy }) => [xOf(key), round(yOf(accuracy))] as const);
    const marks = points.map(({ key, accuracy }, i) => {
      const domains = new Set(rows.flatMap((row) => (row.position === key ? [row.domain] : [])));
      const text = `${contestant}, stay ${key + 1} (${[...domains].join(", ")}): ${percent(accuracy)}`;
      return html`<g>${drawMark(MARKS[look], ...places[i]!)}<title>${text}</title></g>`;
    });
    return html`<g class="series ${look}"
      ><polyline points="${places.map((place) => place.join(",")).join(" ")}" />${marks}</g
    >`;
  });
  return html`<svg
    id="stays"
    class="chart"
    viewBox="0 0 ${WIDTH} ${TOP + HEIGHT + 52}"
    role="img"
    aria-label="Accuracy after each stay, by contestant"
  >
    ${bands}${grid}${labels}${drawn}
  </svg>`;
}

/** Accuracy against time as adaptation goes on, means over all stays; the scale of time is logarithmic. */
export function drawCurves(rows: readonly ElasticRow[], series: readonly Series[]): Html {
  const lines = series.map(({ contestant, look }) => {
    const own = rows.filter((row) => row.contestant === contestant);
    const points = own.flatMap(({ curve }) => curve);
    return { contestant, look, points: meansOfCurve(points) };
  });
  const all = lines.flatMap(({ points }) => points);
  const [low, high] = [Math.min(...all.map((p) => p.seconds)) / 1.1, Math.max(...all.map((p) => p.seconds)) * 1.1];
  const { yOf, grid } = shareAxis(all.map(({ accuracy }) => accuracy));
  const xOf = (seconds: number): number =>
    round(LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(seconds / low)) / Math.log(high / low));
  const ticks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300].filter((t) => t > low && t < high);
  const times = ticks.map(
    (tick) => html`<text class="name" x="${xOf(tick)}" y="${TOP + HEIGHT + 20}">${tick} s</text>`,
  );
  const drawn = lines.map(({ contestant, look, points }) => {
    const places = points.map(({ seconds, accuracy }) => [xOf(seconds), round(yOf(accuracy))] as const);
    const marks = points.map(
      ({ step, seconds, accuracy }, i) =>
        html`<g
          >${drawMark(MARKS[look], ...places[i]!)}<title>
            ${contestant}, step ${step}: ${percent(accuracy)} after ${seconds.toFixed(3)} s
          </title></g
        >`,
    );
    return html`<g class="series ${look}"
      ><polyline points="${places.map((place) => place.join(",")).join(" ")}" />${marks}</g
    >`;
  });
  return html`<svg
    id="curves"
    class="chart"
    viewBox="0 0 ${WIDTH} ${TOP + HEIGHT + 32}"
    role="img"
    aria-label="Accuracy against adaptation time, by contestant"
  >
    ${grid}${times}${drawn}
  </svg>`;
}

const NAMES = 190;
const LINE = 30;
const BAR = 250;
const FIGURES = 175;

/** Mean accuracy of each contestant, and where the time of a stay goes. */
export function drawBars(contestants: readonly ContestantFigures[]): Html {
  const longest = Math.max(1e-9, ...contestants.map((each) => each.adaptSeconds + each.generationSeconds));
  const times = NAMES + BAR + FIGURES;
  const bars = contestants.map((each, i) => {
    const y = 30 + i * LINE;
    const bar = (look: string, x: number, width: number): Html =>
      html`<rect class="bar ${look}" x="${round(x)}" y="${y}" width="${round(width)}" height="16" rx="2" />`;
    const { adaptSeconds, generationSeconds, afterAccuracy, elasticGainPoints: gain } = each;
    const beside = gain === null ? "" : `, elastic ${gain >= 0 ? "+" : "−"}${Math.abs(gain).toFixed(2)}`;
    const [adapting, making] = [adaptSeconds, generationSeconds].map((seconds) => (BAR * seconds) / longest);
    const made = generationSeconds > 0 ? ` + ${generationSeconds.toFixed(3)} s` : "";
    return html`<text class="contestant" x="${NAMES - 12}" y="${y + 13}">${each.contestant}</text>
      ${bar(each.kind, NAMES, BAR * afterAccuracy)}
      <text class="figures" x="${round(NAMES + BAR * afterAccuracy + 8)}" y="${y + 13}"
        >${percent(afterAccuracy)}${beside}</text
      >
      ${bar(each.kind, times, adapting!)}${bar("making", times + adapting!, making!)}
      <text class="figures" x="${round(times + adapting! + making! + 8)}" y="${y + 13}"
        >${adaptSeconds.toFixed(3)} s${made}</text
      >`;
  });
  return html`<svg
    id="bars"
    class="chart"
    viewBox="0 0 ${WIDTH} ${36 + contestants.length * LINE}"
    role="img"
    aria-label="Mean accuracy and time of a stay, by contestant"
  >
    <text class="figures" x="${NAMES}" y="16">accuracy after adapting</text>
    <text class="figures" x="${times}" y="16">a stay takes: adapting + making the network</text>
    ${bars}
  </svg>`;
}

/** An axis of shares that starts at a multiple of ten percent below everything. */
function shareAxis(values: readonly number[]): { readonly yOf: (share: number) => number; readonly grid: Html[] } {
  const floor = Math.max(0, Math.floor(10 * Math.min(...values) - 0.2) / 10);
  const yOf = (share: number): number => TOP + (HEIGHT * (1 - share)) / (1 - floor);
  const ticks = Array.from({ length: Math.round((1 - floor) * 10) + 1 }, (_, i) => floor + i / 10);
  const grid = ticks.map(
    (share) =>
      html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(yOf(share))}" y2="${round(yOf(share))}" />
        <text class="tick" x="${LEFT - 8}" y="${round(yOf(share) + 4)}">${Math.round(100 * share)} %</text>`,
  );
  return { yOf, grid };
}

function meansBy(
  rows: readonly ElasticRow[],
  keyOf: (row: ElasticRow) => number,
): { readonly key: number; readonly accuracy: number }[] {
  return distinct(rows.map(keyOf)).map((key) => ({
    key,
    accuracy: meanOf(rows.flatMap((row) => (keyOf(row) === key ? [row.afterAccuracy] : []))),
  }));
}

function meansOfCurve(
  points: ElasticRow["curve"],
): { readonly step: number; readonly seconds: number; readonly accuracy: number }[] {
  return distinct(points.map(({ step }) => step)).map((step) => {
    const own = points.filter((point) => point.step === step);
    const [seconds, accuracy] = [own.map((p) => p.adaptSeconds), own.map((p) => p.accuracy)].map(meanOf);
    return { step, seconds: seconds!, accuracy: accuracy! };
  });
}

const distinct = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);
const round = (value: number): number => Math.round(10 * value) / 10;
