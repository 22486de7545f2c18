import { html, type Html } from "../../demo/index.js";
import { drawBenchPage, orDash, signed } from "../page.js";
import type { ElasticReport } from "./elastic.js";
import { drawBars, drawCurves, drawLegend, drawStays, meanOf, percent, type Series } from "./page-charts.js";
import type { ElasticRow } from "./rows.js";

/** What is not in the style of the demo: five lines, and bars. */
const LOOKS = `
:root { --compressed: #7b3fa8 } @media (prefers-color-scheme: dark) { :root { --compressed: #c99bf5 } }
.series.elastic { stroke: var(--patched); fill: var(--patched) } .series.elastic polyline { stroke-width: 3.2 }
.series.small { stroke: var(--tentOnline); fill: var(--tentOnline) } .series.large { stroke: var(--good); fill: var(--good) }
.series.compressed { stroke: var(--compressed); fill: var(--compressed) } .series.compressed polyline { stroke-dasharray: 2 4 }
.chart .contestant { text-anchor: end } .chart .figures { fill: var(--soft); font-size: 12px }
.bar.source, .bar.frozen { fill: var(--source) } .bar.elastic { fill: var(--patched) } .bar.same-size { fill: var(--tentOnline) }
.bar.large { fill: var(--good) } .bar.guarded { fill: var(--patched); opacity: 0.7 } .bar.compressed { fill: var(--compressed) } .bar.ablation { fill: var(--patched); opacity: 0.45 } .bar.making { fill: var(--soft) }
#figures th:nth-child(2), #domains th:nth-child(2) { text-align: right } .cards { grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)) }`;

/** The report of an ElasticDNN benchmark as a page. */
export function drawElasticReport(report: ElasticReport, command: string): string {
  const { headline, notes, contestants, rows, settings, complete } = report;
  const domains = new Set(rows.map(({ domain }) => domain));
  const sequences = `${headline.seeds} ${headline.seeds === 1 ? "sequence" : "sequences"}`;
  const chosen = Object.entries(settings)
    .filter(([, setting]) => setting.learningRate !== undefined)
    .map(([name, { learningRate, continual }]) => `${name}: ${learningRate}${continual ? ", goes on" : ""}`);
  return drawBenchPage({
    name: "elastic",
    title: `ElasticDNN on ${domains.size} domains that come again`,
    lead: `${contestants.length} contestants, ${sequences}. Each contestant takes each sequence on its own.`,
    looks: LOOKS,
    cards: cardsOf(report),
    body: rows.length === 0 ? [] : drawCharts(report),
    command,
    notes: [
      ["chosen", chosen.join("; ")],
      ["best of its size", notes.bestSameSize ?? "–"],
    ],
    complete,
  });
}

function drawCharts(report: ElasticReport): Html[] {
  const { contestants, rows } = report;
  const series = pickSeries(report);
  const measured = series.filter((each) =>
    rows.some(({ contestant, curve }) => contestant === each.contestant && curve.length > 0),
  );
  const stays = html`<h2>Accuracy from stay to stay</h2>
    <div class="panel">${drawLegend(series)}${drawStays(rows, series)}</div>
    <p class="note">
      After adapting, on images that are never adapted to; means over the sequences, each of which has an order of its
      own in every round.
    </p>
    <h2>Everyone</h2>
    <div class="panel">${drawBars(contestants)}</div>
    <p class="note">
      Means over stays and sequences. Ablations (pale) are compared with elastic over the stays that both have.
    </p>`;
  const curves = html`<h2>Accuracy as time goes on</h2>
    <div class="panel">${drawLegend(measured)}${drawCurves(rows, measured)}</div>
    <p class="note">
      Means over all stays after the same number of steps; adaptation time alone, on a logarithmic scale.
    </p>`;
  const figures = html`<h2>The figures</h2>
    <div class="panel">${formatFigures(report)}</div>
    <h2>By domain</h2>
    <div class="panel">${formatDomains(rows, series)}</div>`;
  return [stays, ...(measured.length > 0 ? [curves] : []), figures];
}

/** The lines: ours, and the four that the headline speaks of. */
function pickSeries({ contestants, notes }: ElasticReport): Series[] {
  const method = contestants.find(({ kind }) => kind === "elastic")?.method;
  return contestants.flatMap(({ contestant, kind, method: own }): Series[] => {
    if (kind === "same-size") return contestant === notes.bestSameSize ? [{ contestant, look: "small" }] : [];
    if (kind === "large") return own === method ? [{ contestant, look: kind }] : [];
    return kind === "elastic" || kind === "source" || kind === "compressed" ? [{ contestant, look: kind }] : [];
  });
}

function cardsOf({ headline, notes }: ElasticReport): (readonly [string, string])[] {
  const points = (value: number | null): string => orDash(value, signed);
  const ratio = (value: number | null): string => orDash(value, (times) => `${times.toFixed(2)} ×`);
  return [
    [points(headline.gainPoints), "points over the same methods on a small network of equal bytes (paper: 23.31)"],
    [points(headline.gainOverBestSameSizePoints), "points over the best of them"],
    [
      ratio(headline.timeRatioLarge),
      "adaptation time of the large network / ours (paper: 35.67, against whom is not said)",
    ],
    [
      ratio(headline.timeToAccuracyRatio),
      `time of the best of equal bytes / ours to its accuracy, in ${notes.reached} of ${notes.stays} stays`,
    ],
    [
      points(headline.worstVsSourcePoints),
      `points beside the frozen source in the worst domain, ${notes.worstDomain ?? "–"}`,
    ],
  ];
}

function formatFigures({ contestants }: ElasticReport): Html {
  const titles = [
    "stays",
    "online",
    "after",
    "forgets",
    "adapting",
    "making",
    "in all",
    "MACs",
    "bytes",
    "peak memory",
  ];
  const rows = contestants.map(
    (each) =>
      html`<tr>
        <th scope="row">${each.contestant}</th>
        ${[
          ...[String(each.stays), percent(each.onlineAccuracy), percent(each.afterAccuracy)],
          each.forgetting === null ? "–" : (100 * each.forgetting).toFixed(2).replace("-", "−"),
          ...[each.adaptSeconds, each.generationSeconds, each.wallSeconds].map((value) => `${value.toFixed(3)} s`),
          `${(each.macs / 1e6).toFixed(2)} M`,
          ...[each.sizeBytes, each.peakBytes].map((bytes) => `${(bytes / 1e6).toFixed(2)} MB`),
        ].map((text) => html`<td>${text}</td>`)}
      </tr>`,
  );
  return html`<table id="figures">
    <thead>
      <tr>
        <th scope="col">contestant</th>
        ${titles.map((title) => html`<th scope="col">${title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
}

/** Mean accuracy in each domain, where ElasticDNN gains least over the source first. */
function formatDomains(rows: readonly ElasticRow[], series: readonly Series[]): Html {
  const meanIn = (domain: string, contestant: string): number =>
    meanOf(rows.flatMap((row) => (row.domain === domain && row.contestant === contestant ? [row.afterAccuracy] : [])));
  const domains = [...new Set(rows.map(({ domain }) => domain))].map((domain) => ({
    domain,
    means: series.map(({ contestant }) => meanIn(domain, contestant)),
  }));
  const [ours, source] = ["elastic", "source"].map((look) => series.findIndex((each) => each.look === look));
  const gainOf = ({ means }: (typeof domains)[number]): number => means[ours!]! - means[source!]!;
  return html`<table id="domains">
    <thead>
      <tr>
        <th scope="col">domain</th>
        ${series.map(({ contestant }) => html`<th scope="col">${contestant}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${domains
        .sort((a, b) => gainOf(a) - gainOf(b))
        .map(
          ({ domain, means }) =>
            html`<tr>
              <th scope="row">${domain}</th>
              ${means.map((mean) => html`<td>${Number.isNaN(mean) ? "–" : percent(mean)}</td>`)}
            </tr>`,
        )}
    </tbody>
  </table>`;
}
