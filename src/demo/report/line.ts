import type { FoundBox, Mask } from "../../vision/index.js";
import type { LinePicture, LineRow, LineVisit } from "../line.js";
import { html, type Html, percent, points, seconds } from "./html.js";
import { drawOverlays, type Overlay } from "./overlay.js";

/** What three models in a line made of each drift: figures, and pictures before and after. */
export async function formatLine(visits: readonly LineVisit[]): Promise<Html> {
  const galleries = await Promise.all(visits.map(formatGallery));
  const rows = visits.flatMap((visit) => visit.rows.map(formatRow));
  const titles = [
    "drift",
    "model",
    "measured by",
    "source",
    "patched",
    "patches",
    "start",
    "epochs",
    "labels",
    "work",
    "time",
  ];
  return html`<h2>Three models in a line</h2>
    <p class="note">
      PatchLine: a classifier, a detector and a segmenter with the same backbone see the same drifts. The backbone
      stays; small patches inside and behind its groups of layers train, with scales, biases and the head, on labelled
      pictures. A model may start from the patch of the one before it.
    </p>
    <div class="panel">
      <table id="line">
        <thead>
          <tr>
            ${titles.map((title) => html`<th scope="col">${title}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>
    <div class="gallery wide">${galleries}</div>`;
}

function formatRow(row: LineRow): Html {
  const { drift, task, metric, source, patched, patches, start, from, epochs, samples, macs, seconds: time } = row;
  return html`<tr>
    <th scope="row">${drift}</th>
    <th scope="row">${task}</th>
    <td>${metric}</td>
    <td>${percent(source)}</td>
    <td>
      ${percent(patched)} <span class="delta ${patched >= source ? "up" : "down"}">${points(patched - source)}</span>
    </td>
    <td>${patches}</td>
    <td>${from === null ? start : `${start}: ${from}`}</td>
    <td>${epochs}</td>
    <td>${samples}</td>
    <td>${(macs / 1e9).toFixed(1)} G</td>
    <td>${seconds(time)}</td>
  </tr>`;
}

async function formatGallery({ drift, pictures }: LineVisit): Promise<Html> {
  const drawn = await Promise.all(pictures.map((picture, i) => drawPicture(picture, `${drift}, picture ${i + 1}`)));
  return html`<figure>
    <figcaption><b>${drift}</b>what is there, and what each model answers before and after</figcaption>
    ${drawn}
  </figure>`;
}

/** Classes of whole pictures are words under it; the rest is drawn over it. */
async function drawPicture({ image, truth, label, answers }: LinePicture, title: string): Promise<Html> {
  const overlays: [string, Overlay][] = [[`a ${label}`, { boxes: truth.boxes, mask: truth.mask }]];
  for (const { task, before, after } of answers) {
    if (task === "classification") continue;
    for (const [when, answer] of [
      ["before", before],
      ["after", after],
    ] as const)
      overlays.push([`${task}, ${when}`, overlayOf(task, answer)]);
  }
  const classes = answers.find(({ task }) => task === "classification");
  const words = classes
    ? [html`<p class="note">classification: ${String(classes.before)} before, ${String(classes.after)} after</p>`]
    : [];
  return html`${await drawOverlays(image, overlays, { title, width: 96 })}${words}`;
}

/** Boxes that a detector would act on. */
const LEAST_SCORE = 0.3;

const overlayOf = (task: string, answer: unknown): Overlay =>
  task === "detection"
    ? { boxes: (answer as readonly FoundBox[]).filter(({ score }) => score >= LEAST_SCORE) }
    : { mask: answer as Mask };
