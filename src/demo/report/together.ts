import type { Together, TogetherRow } from "../together.js";
import { html, type Html, percent, points } from "./html.js";
import { drawShares } from "./shares.js";

/** Several apps on one device: who had how much of it, and what came of that. */
export function formatTogether({ rows, shares, plans, overBudget, decisionMs }: Together): Html {
  const titles = ["window", "app", "sees", "score", "thought to be", "used", "size", "steps", "slowest answers"];
  return html`<h2>Three apps share this device</h2>
    <p class="note">
      A classifier, a detector and a segmenter at work at the same time, in real time. The planner knows no label: from
      what each model tells of its pictures it expects scores, for every size and every number of training steps, and
      gives the device to those where a second of it brings most. Predictions come first; what others leave over is
      used. ${plans} plans, each made in ${decisionMs.toFixed(1)} ms on average, ${overBudget} above the budget.
    </p>
    <div class="panel">${drawShares(shares)}</div>
    <p class="note">Shares as planned. Triangles: the surroundings of an app changed.</p>
    <div class="panel">
      <table id="together">
        <thead>
          <tr>
            ${titles.map((title) => html`<th scope="col">${title}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(formatRow)}
        </tbody>
      </table>
    </div>`;
}

const orDash = (share: number | null): string => (share === null ? "–" : percent(share));

function formatRow(row: TogetherRow): Html {
  const { window, app, surroundings, score, estimated, share, level, steps, latencyP99Ms } = row;
  const off =
    score === null || estimated === null ? [] : [html` <span class="delta">${points(estimated - score)}</span>`];
  return html`<tr>
    <th scope="row">${window}</th>
    <th scope="row">${app}</th>
    <td>${surroundings}</td>
    <td>${orDash(score)}</td>
    <td>${orDash(estimated)}${off}</td>
    <td>${percent(share)}</td>
    <td>${level}</td>
    <td>${steps}</td>
    <td>${latencyP99Ms.toFixed(0)} ms</td>
  </tr>`;
}
