import type { Visit, VisitRow } from "../visit.js";
import { dataUri, html, type Html, percent, seconds } from "./html.js";
import { type Mark, SERIES, type Series } from "./series.js";

const WIDTH = 1080;
const LEFT = 52;
const RIGHT = 12;
const THUMBNAIL = 44;

/** Places of the visits along the x axis, the same in every chart. */
const columnWidth = (visits: readonly Visit[]): number => (WIDTH - LEFT - RIGHT) / visits.length;
const centreOf = (visits: readonly Visit[], index: number): number => LEFT + (index + 0.5) * columnWidth(visits);

interface Frame {
  readonly top: number;
  readonly height: number;
  readonly yOf: (value: number) => number;
}

/** Accuracy over the sequence of visits, one line for each model, a picture and the name of the domain under each visit. */
export function drawAccuracy(visits: readonly Visit[]): Html {
  const frame = frameOf(14, 300, lowestTenth(visits), 1);
  const bottom = frame.top + frame.height;
  const lines = SERIES.map((series) => drawLine(visits, series, frame));
  const axis = visits.map((visit, i) => drawVisit(visit, centreOf(visits, i), bottom));
  const floor = lowestTenth(visits);
  const ticks = Array.from({ length: Math.round((1 - floor) * 10) + 1 }, (_, i) => floor + i / 10);
  const grid = ticks.map((share) => drawTick(frame.yOf(share), `${Math.round(100 * share)} %`));
  return html`<svg
    id="accuracy"
    class="chart"
    viewBox="0 0 ${WIDTH} ${bottom + 104}"
    role="img"
    aria-labelledby="accuracy-title accuracy-text"
  >
    <title id="accuracy-title">Accuracy in each visit, in the order of the visits</title>
    <desc id="accuracy-text">${visits.map(({ row }) => describe(row)).join(" ")}</desc>
    ${drawBands(visits, frame)}${grid}${axis}${lines}
  </svg>`;
}

/** Time that each visit spent on adapting. */
export function drawTimes(visits: readonly Visit[]): Html {
  const longest = Math.max(0.01, ...visits.flatMap(({ row }) => [row.tentSeconds, row.patchSeconds]));
  const frame = frameOf(18, 120, 0, longest);
  const bottom = frame.top + frame.height;
  const width = Math.min(24, columnWidth(visits) / 3.2);
  const bars = visits.map(({ row }, i) => {
    const x = centreOf(visits, i);
    const bar = (key: "tentSeconds" | "patchSeconds", kind: string, left: number): Html =>
      html`<rect
          class="bar ${kind}"
          x="${round(left)}"
          y="${round(frame.yOf(row[key]))}"
          width="${round(width)}"
          height="${round(bottom - frame.yOf(row[key]))}"
          rx="2"
          ><title>${row.name}: ${seconds(row[key])}</title></rect
        >
        <text class="value" x="${round(left + width / 2)}" y="${round(frame.yOf(row[key]) - 5)}"
          >${row[key].toFixed(1)}</text
        >`;
    const patch = row.returning
      ? html`<text class="value" x="${round(x + width / 2 + 2)}" y="${bottom - 5}">kept</text>`
      : bar("patchSeconds", "patched", x + 2);
    return html`${bar("tentSeconds", "tentOnline", x - width - 2)}${patch}${drawName(row, x, bottom + 18)}`;
  });
  return html`<svg
    id="times"
    class="chart"
    viewBox="0 0 ${WIDTH} ${bottom + 52}"
    role="img"
    aria-labelledby="times-title"
  >
    <title id="times-title">Seconds of adaptation in each visit: Tent and patch</title>
    ${drawBands(visits, frame)}${drawTick(bottom, "0 s")}${drawTick(frame.yOf(longest), seconds(longest))}${bars}
  </svg>`;
}

function frameOf(top: number, height: number, low: number, high: number): Frame {
  return { top, height, yOf: (value) => top + (height * (high - value)) / (high - low) };
}

/** The axis starts at a multiple of ten percent below everything. */
function lowestTenth(visits: readonly Visit[]): number {
  const lowest = Math.min(...visits.flatMap(({ row }) => SERIES.map(({ key }) => row[key])));
  return Math.max(0, Math.floor(10 * lowest - 0.2) / 10);
}

function drawBands(visits: readonly Visit[], { top, height }: Frame): Html[] {
  const width = columnWidth(visits);
  return visits.flatMap((_, i) =>
    i % 2 === 0
      ? [
          html`<rect
            class="band"
            x="${round(LEFT + i * width)}"
            y="${top}"
            width="${round(width)}"
            height="${height}"
          />`,
        ]
      : [],
  );
}

const drawTick = (y: number, label: string): Html => html`
  <line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y)}" y2="${round(y)}" />
  <text class="tick" x="${LEFT - 8}" y="${round(y + 4)}">${label}</text>
`;

function drawLine(visits: readonly Visit[], { key, title, mark }: Series, frame: Frame): Html {
  const places = visits.map(({ row }, i) => [round(centreOf(visits, i)), round(frame.yOf(row[key]))] as const);
  const marks = visits.map(
    ({ row }, i) =>
      html`<g>${drawMark(mark, ...places[i]!)}<title>${row.name}, ${title}: ${percent(row[key])}</title></g>`,
  );
  return html`<g class="series ${key}">
    <polyline points="${places.map((place) => place.join(",")).join(" ")}" />
    ${marks}
  </g>`;
}

/** A marker of its own for each model, so that colour is not needed to tell them apart. */
export function drawMark(mark: Mark, x: number, y: number): Html {
  switch (mark) {
    case "square":
      return html`<rect x="${x - 4.5}" y="${y - 4.5}" width="9" height="9" />`;
    case "circle":
      return html`<circle cx="${x}" cy="${y}" r="5.2" />`;
    case "diamond":
      return html`<path d="M${x} ${y - 6.8}l6.8 6.8l-6.8 6.8l-6.8 -6.8z" />`;
    case "triangle":
      return html`<path d="M${x} ${y - 6.4}l6.6 11.2h-13.2z" />`;
  }
}

function drawVisit({ row, pictures }: Visit, x: number, bottom: number): Html {
  const side = THUMBNAIL;
  const picture = pictures[0]
    ? [
        html`<image
          x="${round(x - side / 2)}"
          y="${bottom + 10}"
          width="${side}"
          height="${side}"
          href="${dataUri(pictures[0].png)}"
        />`,
      ]
    : [];
  return html`${picture}${drawName(row, x, bottom + side + 27)}`;
}

/** The name in one line for each of its words, and whether the domain was seen before. */
function drawName({ name, returning }: VisitRow, x: number, y: number): Html {
  const words = [...name.split("-").map((word, i, all) => (i < all.length - 1 ? `${word}-` : word))];
  const lines = words.map((word, i) => html`<tspan x="${round(x)}" dy="${i === 0 ? 0 : 14}">${word}</tspan>`);
  const again = returning ? [html`<tspan class="again" x="${round(x)}" dy="14">returns</tspan>`] : [];
  return html`<text class="name" x="${round(x)}" y="${round(y)}">${lines}${again}</text>`;
}

const describe = (row: VisitRow): string =>
  `${row.visit}. ${row.name}: ${SERIES.map(({ key, short }) => `${short} ${percent(row[key])}`).join(", ")}.`;

const round = (value: number): number => Math.round(10 * value) / 10;
