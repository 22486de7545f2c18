import { drawMark, html, type Html } from "../demo/index.js";
import type { EngineReport } from "./engine.js";
import { MODES, MODE_NAMES, type Mode } from "./modes.js";
import { drawBenchPage, orDash } from "./page.js";
import { CONTESTANTS } from "./peers.js";
import { type EngineRow, geomean, worstFirst } from "./rows.js";

const WIDTH = 1080;
const LEFT = 130;
const RIGHT = 290;
const LINE = 26;
const TOP = 30;
/** Ratios of the axis; the scale is logarithmic, so that twice as fast is as far from 1 as half as fast. */
const TICKS = [0.25, 0.5, 0.7, 1, 1.5, 2, 4, 8, 16];

/** What is not in the style of the demo: bars to both sides of 1. */
const BARS = `
.bar.faster { fill: var(--good) } .bar.slower { fill: var(--bad) } .even { stroke: var(--ink); stroke-width: 1.5 }
.chart .network { text-anchor: end } .chart .figures { fill: var(--soft); font-size: 11.5px } .chart .tick.top { text-anchor: middle }
.cards { grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)) } .series.other { fill: var(--patched) } .legend .bar { stroke: none }`;

/** The report of an engine benchmark as a page. */
export function drawEngineReport({ headline, rows, machine, versions, complete }: EngineReport): string {
  const shown = MODE_NAMES.filter((mode) => rows.some((row) => row.mode === mode));
  const scale = scaleOf(rows);
  const times = (value: number): string => `${value.toFixed(2)} ×`;
  const peers = [...new Set(Object.values(versions))].join(", ") || "no peer";
  return drawBenchPage({
    name: "engine",
    title: `Steps of ${new Set(rows.map(({ network }) => network)).size} networks beside PyTorch`,
    lead: `${machine.processor}, ${machine.processors} processors, ${rows[0]?.threads ?? 0} threads, Node.js ${machine.node}, ${peers}. Geometric means over the networks; medians of interleaved rounds.`,
    looks: BARS,
    cards: [
      [orDash(headline.geomeanFull, times), "full training, PyTorch eager's time / ours"],
      [orDash(headline.geomeanSelective, times), "20 % of the filters, and the last third"],
      [orDash(headline.geomeanInference, times), "inference"],
      [orDash(headline.memoryRatio, times), "our peak memory / PyTorch's"],
      [
        orDash(headline.roofShare, (share) => `${(100 * share).toFixed(0)} %`),
        "of the rate of one product of matrices",
      ],
    ],
    body: shown.map((mode) =>
      drawMode(
        mode,
        rows.filter((row) => row.mode === mode),
        scale,
      ),
    ),
    complete,
  });
}

/** Places on an axis that holds every ratio of the report, so that charts can be compared. */
type Scale = (ratio: number) => number;

function scaleOf(rows: readonly EngineRow[]): { readonly xOf: Scale; readonly ticks: readonly number[] } {
  const ratios = rows.flatMap(({ peers }) => [peers.eager?.ratio ?? 1, peers["channels-last"]?.ratio ?? 1]);
  const low = Math.min(0.5, ...ratios) / 1.08;
  const high = Math.max(2, ...ratios) * 1.08;
  const length = WIDTH - LEFT - RIGHT;
  return {
    xOf: (ratio) => round(LEFT + (length * Math.log(ratio / low)) / Math.log(high / low)),
    ticks: TICKS.filter((tick) => tick > low && tick < high),
  };
}

function drawMode(mode: Mode, rows: readonly EngineRow[], { xOf, ticks }: ReturnType<typeof scaleOf>): Html {
  const bottom = TOP + rows.length * LINE;
  const grid = ticks.map(
    (tick) =>
      html`<line
          class="${tick === 1 ? "even" : "grid"}"
          x1="${xOf(tick)}"
          x2="${xOf(tick)}"
          y1="${TOP - 6}"
          y2="${bottom}"
        />
        <text class="tick top" x="${xOf(tick)}" y="${TOP - 12}">${tick} ×</text>`,
  );
  const mean = geomean(rows.map(({ ratio }) => ratio));
  return html`<h2>
      ${MODES[mode].title.replace(/^./, (letter) => letter.toUpperCase())}${mean === null ? "" : `: ${mean.toFixed(2)} ×`}
    </h2>
    <div class="panel">
      ${legend()}
      <svg class="chart" viewBox="0 0 ${WIDTH} ${bottom + 8}" role="img" aria-label="${MODES[mode].title}, by network">
        ${grid}${worstFirst(rows).map((row, i) => drawRow(row, TOP + (i + 0.5) * LINE, xOf))}
      </svg>
    </div>`;
}

function drawRow(row: EngineRow, y: number, xOf: Scale): Html {
  const { limber, peers, ratio, roofShare } = row;
  const other = peers["channels-last"]?.ratio ?? null;
  const time = (value: number | null | undefined): string =>
    value === null || value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
  const share = roofShare === null ? "" : `,  ${(100 * roofShare).toFixed(0)} % of the roof`;
  const figures =
    limber.stepMs === null ? limber.note.slice(0, 40) : `${time(limber.stepMs)} : ${time(peers.eager?.stepMs)}${share}`;
  const bar = (value: number): Html => {
    const [from, to] = [Math.min(xOf(1), xOf(value)), Math.max(xOf(1), xOf(value))];
    return html`<rect
      class="bar ${value < 1 ? "slower" : "faster"}"
      x="${from}"
      y="${y - 7}"
      width="${round(to - from)}"
      height="14"
      rx="2"
      ><title>${row.network}: ${value.toFixed(2)} times as fast as PyTorch eager</title></rect
    >`;
  };
  return html`<text class="network" x="${LEFT - 12}" y="${y + 4}">${row.network}</text>
    ${ratio === null ? "" : bar(ratio)}
    ${other === null ? "" : html`<g class="series other">${drawMark("diamond", xOf(other), y)}<title>${row.network}: ${other.toFixed(2)} times as fast as PyTorch channels-last</title></g>`}
    <text class="figures" x="${WIDTH - RIGHT + 14}" y="${y + 4}"
      >${ratio === null ? "" : `${ratio.toFixed(2)} ×  `}${figures}</text
    >`;
}

const legend = (): Html => html`
  <ul class="legend">
    <li>
      <svg viewBox="0 0 34 16"><rect class="bar faster" x="4" y="2" width="26" height="12" rx="2" /></svg>faster than
      ${CONTESTANTS.eager.title}
    </li>
    <li>
      <svg viewBox="0 0 34 16"><rect class="bar slower" x="4" y="2" width="26" height="12" rx="2" /></svg>slower
    </li>
    <li>
      <svg viewBox="0 0 34 16"><g class="series other">${drawMark("diamond", 17, 8)}</g></svg>beside
      ${CONTESTANTS["channels-last"].title}
    </li>
    <li>at the right: our time : PyTorch eager's</li>
  </ul>
`;

const round = (value: number): number => Math.round(10 * value) / 10;
