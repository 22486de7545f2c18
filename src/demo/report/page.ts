import type { DemoPlan } from "../plan.js";
import type { LineVisit } from "../line.js";
import type { DemoHeadline, DemoResult } from "../result.js";
import type { Picture, Visit, VisitRow } from "../visit.js";
import { drawAccuracy, drawMark, drawTimes } from "./chart.js";
import { dataUri, html, Html, kibibytes, milliseconds, percent, points, seconds } from "./html.js";
import { formatLine } from "./line.js";
import { OVERLAY_STYLE } from "./overlay.js";
import { SERIES } from "./series.js";
import { SHARES_STYLE } from "./shares.js";
import { STYLE } from "./style.js";
import { formatTogether } from "./together.js";

/** The report of a demo as one page that needs nothing else: no script, no font, no request. */
export async function formatReportPage(
  result: DemoResult,
  visits: readonly Visit[],
  plan: DemoPlan,
  line: readonly LineVisit[] = [],
): Promise<string> {
  const { headline } = result;
  const complete = visits.length === plan.visits.length;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>limber demo: ${visits.length} visits, ${percent(headline.source)} → ${percent(headline.patched)}</title>
        <link rel="icon" href="data:," />
        <style>
          ${new Html(STYLE + OVERLAY_STYLE + SHARES_STYLE)}
        </style>
      </head>
      <body>
        <main>
          <h1>A small classifier meets an evolving world</h1>
          <p class="soft">
            Handwritten digits on changing grounds, under changing weather. The model knows clear daylight only;
            ${visits.length} visits to ${new Set(visits.map(({ row }) => row.name)).size} domains follow, some of them a
            second time.
            ${complete ? "" : `The run was stopped after ${visits.length} of ${plan.visits.length} visits.`}
          </p>
          ${visits.length === 0 ? [] : [formatBody(result, visits, plan)]}
          ${line.length === 0 ? [] : [await formatLine(line)]}
          ${result.together === null ? [] : [formatTogether(result.together)]} ${formatOrigin(result)}
        </main>
      </body>
    </html>`;
  return `${page.text.replace(/\n\s+/g, "\n")}\n`;
}

const formatBody = (result: DemoResult, visits: readonly Visit[], plan: DemoPlan): Html => html`
  ${formatCards(result)}
  <h2>Accuracy from visit to visit</h2>
  <div class="panel">${formatLegend()}${drawAccuracy(visits)}</div>
  <p class="note">
    Each point counts the same ${plan.images} pictures of its visit for all models. Under each visit: its first picture.
  </p>
  <h2>The figures</h2>
  <div class="panel">${formatTable(result, visits)}</div>
  <h2>Adaptation time</h2>
  <div class="panel">${drawTimes(visits)}</div>
  <p class="note">
    Seconds inside of the runtime: Tent over ${plan.images} pictures as they come; a patch over ${plan.labelled}
    labelled ones. A kept patch costs nothing when its domain returns.
  </p>
  <h2>A small model for each visit</h2>
  <div class="panel">${formatElastic(result, visits)}</div>
  <p class="note">
    ElasticDNN: a master, trained on daylight as the source model was, chooses the filters that the first pictures of a
    visit need; the others are left out. A fifth of those that stay train, without a label, and give back to the master
    what they learn. Made in: choosing, cutting and checking; adapted in: the steps over all ${plan.images} pictures.
  </p>
  <h2>What the models see</h2>
  <p class="note">
    The first pictures of each visit, whatever they show. Left of each row: who answers. Tent here is the model that it
    left.
  </p>
  <div class="gallery">${visits.map(formatGallery)}</div>
  <h2>What starts anew, and what is kept</h2>
  <p>
    <b>Source</b> never changes. <b>Batch statistics</b> and <b>Tent</b> see no label; they start from the source model
    in each visit, also when a domain returns, and predict each batch of 32 before they adapt to it. <b>A patch</b> is
    ${result.headline.patchValues} numbers (${(result.headline.patchValues / 256).toFixed(1)} KiB): scale, shift and
    statistics of the normalization layers, learned from ${plan.labelled} labelled pictures when a domain is first met,
    each time from the source model. When the domain returns, its patch is put back as it was: no new label, no
    training. The labelled pictures show handwriting that the measured ones never do.
  </p>
`;

function formatCards({ headline }: DemoResult): Html {
  const { source, tentOnline, patched, tentSeconds, patchSeconds, elastic, elasticMacs, sourceMacs } = headline;
  return html`<ul class="cards" aria-label="Means over all visits">
    <li class="source"><b>${percent(source)}</b><span>frozen source model, mean of all visits</span></li>
    <li class="tentOnline">
      <b>${percent(tentOnline)}</b><span>Tent, no labels: ${points(tentOnline - source)} points</span>
    </li>
    <li class="patched">
      <b>${percent(patched)}</b><span>patched norm layers: ${points(patched - source)} points</span>
    </li>
    <li class="elastic">
      <b>${percent(elastic)}</b
      ><span>small models, ${percent(elasticMacs / sourceMacs)} of the work: ${points(elastic - source)} points</span>
    </li>
    <li><b>${seconds(patchSeconds)}</b><span>to learn a patch; Tent takes ${seconds(tentSeconds)} a visit</span></li>
  </ul>`;
}

function formatLegend(): Html {
  const entries = SERIES.map(
    ({ key, title, mark }) =>
      html`<li>
        <svg viewBox="0 0 34 16" aria-hidden="true">
          <g class="series ${key}">
            <polyline points="0,8 34,8" />
            ${drawMark(mark, 17, 8)}
          </g></svg
        >${title}
      </li>`,
  );
  return html`<ul class="legend">
    ${entries}
  </ul>`;
}

const TABLE_KEYS = ["bn", "tentOnline", "tentAfter", "patched"] as const;

function formatTable({ headline }: DemoResult, visits: readonly Visit[]): Html {
  const cells = (row: Pick<VisitRow, "source" | (typeof TABLE_KEYS)[number]>): Html[] => [
    html`<td>${percent(row.source)}</td>`,
    ...TABLE_KEYS.map((key) => html`<td>${percent(row[key])} ${formatDelta(row[key] - row.source)}</td>`),
  ];
  const rows = visits.map(
    ({ row }) =>
      html`<tr class="${row.returning ? "returning" : ""}">
        <td>${row.visit}</td>
        <th scope="row">${row.name}${row.returning ? [html` <small>returns</small>`] : []}</th>
        ${cells(row)}
        <td>${row.returning ? "kept" : row.labels}</td>
        <td>${seconds(row.tentSeconds)}</td>
        <td>${row.returning ? "–" : seconds(row.patchSeconds)}</td>
      </tr>`,
  );
  const titles = [
    "source",
    "batch statistics",
    "Tent, online",
    "Tent, after",
    "patched",
    "labels",
    "Tent time",
    "patch time",
  ];
  return html`<table id="figures">
    <caption>
      Accuracy, and in points the difference to the source model
    </caption>
    <thead>
      <tr>
        <th scope="col">#</th>
        <th scope="col">domain</th>
        ${titles.map((title) => html`<th scope="col">${title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
    <tfoot>
      <tr>
        <td></td>
        <th scope="row">mean</th>
        ${cells(headline)}
        <td>${visits.reduce((sum, { row }) => sum + row.labels, 0)}</td>
        <td>${seconds(headline.tentSeconds)}</td>
        <td>${seconds(headline.patchSeconds)}</td>
      </tr>
    </tfoot>
  </table>`;
}

function formatElastic({ headline }: DemoResult, visits: readonly Visit[]): Html {
  const cells = (row: DemoHeadline | VisitRow): Html => html`
    <td>${percent(row.elasticBefore)} ${formatDelta(row.elasticBefore - row.source)}</td>
    <td>${percent(row.elastic)} ${formatDelta(row.elastic - row.source)}</td>
    <td>${(row.elasticMacs / 1e6).toFixed(2)} M</td>
    <td>${kibibytes(row.elasticBytes)}</td>
    <td>${milliseconds(row.elasticMadeSeconds)}</td>
    <td>${milliseconds(row.elasticSeconds)}</td>
  `;
  const rows = visits.map(
    ({ row }) =>
      html`<tr class="${row.returning ? "returning" : ""}">
        <td>${row.visit}</td>
        <th scope="row">${row.name}${row.returning ? [html` <small>returns</small>`] : []}</th>
        ${cells(row)}
      </tr>`,
  );
  const titles = ["as cut", "adapted", "multiplications", "size", "made in", "adapted in"];
  return html`<table id="elastic">
    <caption>
      Accuracy, and in points the difference to the source model, which takes ${(headline.sourceMacs / 1e6).toFixed(2)}
      M multiplications and ${kibibytes(headline.sourceBytes)}
    </caption>
    <thead>
      <tr>
        <th scope="col">#</th>
        <th scope="col">domain</th>
        ${titles.map((title) => html`<th scope="col">${title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
    <tfoot>
      <tr>
        <td></td>
        <th scope="row">mean</th>
        ${cells(headline)}
      </tr>
    </tfoot>
  </table>`;
}

function formatDelta(difference: number): Html {
  const text = points(difference);
  const kind = text.startsWith("+") ? "up" : text.startsWith("−") ? "down" : "";
  return html`<span class="delta ${kind}">${text}</span>`;
}

const ANSWERS = [
  ["source", "source"],
  ["tent", "Tent"],
  ["patched", "patched"],
  ["elastic", "ElasticDNN"],
] as const;

function formatGallery({ row, summary, pictures }: Visit): Html {
  const images = pictures.map(
    ({ png, label }, i) =>
      html`<th scope="col">
        <img src="${dataUri(png)}" width="48" height="48" alt="${row.name}, picture ${i + 1}: a ${label}" />
      </th>`,
  );
  const lines = ANSWERS.map(
    ([key, title]) =>
      html`<tr>
        <th scope="row">${title}</th>
        ${pictures.map((picture) => formatAnswer(picture, picture[key]))}
      </tr>`,
  );
  const again = row.returning ? ", again" : "";
  return html`<figure>
    <figcaption><b>${row.visit}. ${row.name}</b>${summary}${again}</figcaption>
    <table>
      <thead>
        <tr>
          <td></td>
          ${images}
        </tr>
      </thead>
      <tbody>
        ${lines}
      </tbody>
    </table>
  </figure>`;
}

const formatAnswer = ({ label }: Picture, answer: number): Html => {
  const right = answer === label;
  return html`<td><span class="${right ? "right" : "wrong"}">${answer} ${right ? "✓" : "✗"}</span></td>`;
};

const WEIGHTS = ["weights/tent.onnx", "weights/patched.onnx", "weights/elastic.onnx"];

function formatOrigin({ machine, seed, command, headline }: DemoResult): Html {
  const { processor, threads, memoryGiB, system, node } = machine;
  const files = ["args.json", "results.csv", "events.jsonl", ...WEIGHTS];
  const links = files.map((file, i) => html`${i === 0 ? "" : ", "}<a href="${file}">${file}</a>`);
  return html`<h2>This run</h2>
    <dl>
      <dt>repeat it</dt>
      <dd><code>${command}</code></dd>
      <dt>seed</dt>
      <dd>${seed}</dd>
      <dt>time</dt>
      <dd>${headline.seconds.toFixed(1)} s for everything but the exports</dd>
      <dt>machine</dt>
      <dd>${processor}, ${threads} threads, ${memoryGiB} GiB, ${system}, Node.js ${node}</dd>
      <dt>beside this page</dt>
      <dd>${links}</dd>
    </dl>`;
}
