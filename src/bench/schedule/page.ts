import { drawShares, html, type Html, SHARES_STYLE, type ShareSeries } from "../../demo/index.js";
import { drawBenchPage, orDash, signed } from "../page.js";
import type { ScheduleCell, ScheduleHeadline } from "./headline.js";
import { drawCell, drawGrowth, drawScatter, type EstimatePoint, percent, scaleOf } from "./page-charts.js";
import { BASELINES } from "./planners.js";
import type { GrowthRow } from "./rows.js";

export interface SchedulePage {
  readonly headline: ScheduleHeadline;
  readonly complete: boolean;
  /** Command that makes it again. */
  readonly command: string;
  /** Further figures beside those of the headline: value and what it is. */
  readonly cards?: readonly (readonly [string, string])[] | undefined;
  readonly growth?: readonly GrowthRow[] | undefined;
  readonly shares?: readonly ShareSeries[] | undefined;
  readonly estimates?: readonly EstimatePoint[] | undefined;
}

const LOOKS = `
.cards { grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)) } .cell + .cell { margin-top: 26px } .chart .planner { text-anchor: end } .chart .planner.ours { font-weight: 700 }
.chart .figures { fill: var(--soft); font-size: 11.5px } .range { stroke-width: 3; stroke-opacity: 0.35 } .chart .even { stroke: var(--soft); stroke-dasharray: 5 4 }
.series.ours { stroke: var(--patched); fill: var(--patched) } .series.baseline { stroke: var(--tentOnline); fill: var(--tentOnline) } .series.ablation { stroke: var(--source); fill: var(--source) }
.limit path { stroke: var(--bad); stroke-width: 2.5 } .chart .limit text { fill: var(--bad); font-size: 11.5px } .dot { fill-opacity: 0.55 } h3 { font-size: 16px; margin: 20px 0 2px }
#figures th:nth-child(2) { text-align: left }`;

const MODE_TITLES = { simulated: "In the simulator", real: "In real time" } as const;

/** The report of a benchmark of the scheduler as a page. */
export function drawScheduleReport(page: SchedulePage): string {
  const { headline, complete, command, cards = [] } = page;
  const { gainPoints, overBudget, decisionMs16, decisionMs10000, cells } = headline;
  return drawBenchPage({
    name: "schedule",
    title: "Several apps on one device, by planner",
    lead:
      "Mean score of all apps over their time, weighted where apps are. All planners meet the same apps, drifts, budgets and estimates; " +
      "the scenario where ours gains least stands first. The paper tells of 25.91 points above schedulers that run models of one size.",
    looks: SHARES_STYLE + LOOKS,
    cards: [
      ...BASELINES.map((name) => [orDash(gainPoints[name], signed), `points above ${name}`] as const),
      [String(overBudget), "plans that broke a limit"],
      [orDash(decisionMs16, (ms) => `${ms.toFixed(1)} ms`), "for a decision on 16 apps"],
      [orDash(decisionMs10000, (ms) => `${ms.toFixed(0)} ms`), "for a decision on 10,000 apps"],
      ...cards,
    ],
    body: [
      ...drawCells(cells),
      ...drawCharts(page),
      html`<h2>The figures</h2>
        <div class="panel">${drawFigures(cells)}</div>`,
    ],
    command,
    complete,
  });
}

function drawCells(cells: readonly ScheduleCell[]): Html[] {
  const scale = scaleOf(cells);
  const modes = (["real", "simulated"] as const).filter((mode) => cells.some((cell) => cell.mode === mode));
  return modes.map(
    (mode) =>
      html`<h2>${MODE_TITLES[mode]}</h2>
        ${drawLegend()}
        <div class="panel">
          ${cells.filter((cell) => cell.mode === mode).map((cell) => drawTitledCell(cell, scale))}
        </div>`,
  );
}

function drawCharts({ growth = [], shares = [], estimates = [] }: SchedulePage): Html[] {
  const shared = shares.map(
    (series) =>
      html`<h2>${series.title}</h2>
        <div class="panel">${drawShares(series)}</div>
        <p class="note">Share of the device by app, as planned. Marks at the top: something drifted, came or left.</p>`,
  );
  const grown = html`<h2>Time of a decision</h2>
    <div class="panel">${drawGrowth(growth)}</div>`;
  const estimated = html`<h2>Estimates without labels</h2>
    <div class="panel">${drawScatter(estimates)}</div>
    <p class="note">True score, upwards, against the estimate, on drifts that the estimator was not fitted on.</p>`;
  return [...shared, ...(growth.length > 0 ? [grown] : []), ...(estimates.length > 0 ? [estimated] : [])];
}

const titleOf = ({ scenario, apps }: ScheduleCell): string => `${scenario.replaceAll("-", " ")}, ${apps} apps`;

const drawTitledCell = (cell: ScheduleCell, scale: readonly [number, number]): Html =>
  html`<h3>${titleOf(cell)}</h3>
    ${drawCell(cell, scale)}`;

const drawLegend = (): Html =>
  html`<ul class="legend">
    ${(
      [
        ["ours", "ours"],
        ["baseline", "other planners"],
        ["ablation", "ours without a part"],
      ] as const
    ).map(
      ([look, name]) =>
        html`<li>
          <svg viewBox="0 0 34 16" aria-hidden="true">
            <g class="series ${look}">
              <line class="range" x1="2" x2="32" y1="8" y2="8" />
              <circle cx="17" cy="8" r="5" />
            </g></svg
          >${name}
        </li>`,
    )}
    <li>bars: from the lowest to the highest of the seeds</li>
  </ul>`;

const TITLES = [
  "scenario",
  "planner",
  "score",
  "least app",
  "predictions answered",
  "device that learns",
  "steps",
  "models made",
];

function drawFigures(cells: readonly ScheduleCell[]): Html {
  const rows = cells.flatMap((cell) =>
    cell.planners.map(
      (each) =>
        html`<tr>
          <th scope="row">${cell.mode === "real" ? "real: " : ""}${titleOf(cell)}</th>
          <th scope="row">${each.planner}</th>
          ${[
            percent(each.score),
            percent(each.worstScore),
            percent(each.servedShare),
            percent(each.trainingShare),
            each.steps.toFixed(0),
            each.remodels.toFixed(0),
          ].map((text) => html`<td>${text}</td>`)}
        </tr>`,
    ),
  );
  return html`<table id="figures">
    <thead>
      <tr>
        ${TITLES.map((title) => html`<th scope="col">${title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}
