import { html, type Html } from "../../demo/index.js";
import { drawBenchPage, orDash, signed } from "../page.js";
import { type Cell, type CellMean, nameCell } from "./headline.js";
import type { PatchReport } from "./patch.js";

const LOOKS = `
.chart .contestant { font-size: 12px } .chart .axis { fill: var(--soft); font-size: 12px } .chart .grid { stroke: var(--soft); stroke-opacity: 0.25 }
.dot.frozen { fill: var(--source) } .dot.baseline { fill: var(--tentOnline) } .dot.ours { fill: var(--patched) } .dot.ablation { fill: var(--patched); opacity: 0.4 }
#figures th:nth-child(2) { text-align: left }`;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
/** The report of a PatchLine benchmark as a page. */
export function drawPatchReport({ headline, complete }: PatchReport, command: string): string {
  const { byTechnique, cells } = headline;
  return drawBenchPage({
    name: "patch",
    title: "PatchLine beside other ways to fine-tune",
    lead: `${cells.length} models follow drifts; everyone sees the same pictures, labels and epochs.`,
    looks: LOOKS,
    cards: [
      [orDash(headline.costReduction, percent), "less work than the cheapest baseline that is as good (paper: 55 %)"],
      [orDash(headline.accuracyVsFullPoints, signed), "points beside fine-tuning everything"],
      [orDash(byTechnique.patches, percent), "less by patches as the drift needs, alone"],
      [orDash(byTechnique.warm, percent), "less by warm starts, alone"],
      [orDash(byTechnique.selection, percent), "less by chosen samples, alone"],
    ],
    body: [
      ...cells.map(
        (cell) =>
          html`<h2>${nameCell(cell)}</h2>
            <div class="panel">${drawScatter(cell)}</div>`,
      ),
      html`<p class="note">
          Score after a drift against the work that a drift takes, in multiply-accumulates on a logarithmic scale. Pale:
          PatchLine without a part, or one part alone.
        </p>
        <h2>The figures</h2>
        <div class="panel">${formatFigures(cells)}</div>`,
    ],
    command,
    complete,
  });
}

const SIZE = { width: 900, height: 320, left: 56, right: 170, top: 16, bottom: 40 };

/** A dot for each contestant; the frozen models, which cost nothing, stand at the left. */
function drawScatter({ contestants }: Cell): Html {
  const { width, height, left, right, top, bottom } = SIZE;
  const costs = contestants.flatMap(({ macs }) => (macs > 0 ? [Math.log10(macs)] : []));
  const [cheap, dear] = [Math.min(...costs) - 0.1, Math.max(...costs) + 0.05];
  const scores = contestants.map(({ score }) => score);
  const [low, high] = [Math.min(...scores) - 0.01, Math.max(...scores) + 0.01];
  const place = ({ macs, score }: CellMean): readonly [number, number] => {
    const share = macs > 0 ? (Math.log10(macs) - cheap) / (dear - cheap) : 0;
    return [left + share * (width - left - right), top + ((high - score) / (high - low)) * (height - top - bottom)];
  };
  const rules = [low, (low + high) / 2, high].map((score) => {
    const y = place({ contestant: "", kind: "ours", score, macs: 0, seconds: 0 })[1];
    return html`<line class="grid" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}" /><text
        class="axis"
        x="${left - 6}"
        y="${y + 4}"
        text-anchor="end"
        >${percent(score)}</text
      >`;
  });
  const ticks = [1e9, 2e9, 5e9, 1e10, 2e10, 5e10, 1e11, 2e11, 5e11, 1e12]
    .filter((macs) => Math.log10(macs) >= cheap && Math.log10(macs) <= dear)
    .map((macs) => {
      const [x] = place({ contestant: "", kind: "ours", score: low, macs, seconds: 0 });
      return html`<text class="axis" x="${x}" y="${height - 14}" text-anchor="middle">${macs / 1e9} G</text>`;
    });
  const taken: number[] = [];
  const dots = contestants
    .toSorted((a, b) => b.score - a.score)
    .map((each) => {
      const [x, y] = place(each);
      let text = y + 4;
      while (taken.some((other) => Math.abs(other - text) < 12)) text += 3;
      taken.push(text);
      return html`<g>
        <circle class="dot ${each.kind}" cx="${x}" cy="${y}" r="${each.kind === "ours" ? 7 : 5}" />
        <line class="grid" x1="${x}" y1="${y}" x2="${width - right + 6}" y2="${text - 4}" />
        <text class="contestant" x="${width - right + 10}" y="${text}">${each.contestant}</text>
      </g>`;
    });
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Score against work">
    ${rules} ${ticks} ${dots}
  </svg>`;
}

function formatFigures(cells: readonly Cell[]): Html {
  const rows = cells.flatMap((cell) =>
    cell.contestants.map(
      ({ contestant, score, macs, seconds }) =>
        html`<tr>
          <th scope="row">${nameCell(cell)}</th>
          <th scope="row">${contestant}${contestant === cell.bestBaseline ? " ★" : ""}</th>
          ${[percent(cell.sourceScore), percent(score), `${(macs / 1e9).toFixed(2)} G`, `${seconds.toFixed(2)} s`].map(
            (text) => html`<td>${text}</td>`,
          )}
        </tr>`,
    ),
  );
  return html`<table id="figures">
    <caption>
      ★ the baseline that PatchLine is compared with
    </caption>
    <thead>
      <tr>
        ${["model", "contestant", "source", "score", "work a drift", "time a drift"].map(
          (title) => html`<th scope="col">${title}</th>`,
        )}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}
