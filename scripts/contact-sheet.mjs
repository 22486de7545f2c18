// Draws docs/images/world.png: every domain of the embedded world, scene by scene, with class, box and mask. Needs the build.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { createWorld, WORLD_DOMAINS } from "../dist/vision/world/index.js";

const OUTPUT = fileURLToPath(new URL("../docs/images/world.png", import.meta.url));
const SEED = 7;
const ZOOM = 3;
const SIZE = 32;
const CELL = SIZE * ZOOM;
const GAP = 6;
const LABEL_HEIGHT = 16;
const NAME_WIDTH = 190;
const HEAD = 34;
// What each group of columns shows, left to right.
const GROUPS = [
  { title: "scenes with their class", columns: 8, digits: [1, 1] },
  { title: "boxes", columns: 2, digits: [2, 3], boxes: true },
  { title: "masks", columns: 2, digits: [2, 3], masks: true },
];
const CLASS_COLOURS = "#e6194b #f58231 #ffe119 #bfef45 #3cb44b #42d4f4 #4363d8 #911eb4 #f032e6 #fabed4".split(" ");

const escape = (text) => text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);

/** The words of a summary in lines of at most `width` characters. */
function wrap(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (`${lines.at(-1)} ${word}`.length > width) lines.push(word);
    else lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
  }
  return lines;
}

const enlarge = ({ image }) =>
  sharp(image.data, { raw: { width: SIZE, height: SIZE, channels: 3 } })
    .resize(CELL, CELL, { kernel: "nearest" })
    .png()
    .toBuffer();

function drawTruth(scene, group, left, top) {
  const parts = [];
  if (group.masks) {
    scene.mask.forEach((value, i) => {
      if (value === 0) return;
      const [x, y] = [left + (i % SIZE) * ZOOM, top + Math.floor(i / SIZE) * ZOOM];
      parts.push(`<rect x="${x}" y="${y}" width="${ZOOM}" height="${ZOOM}" fill="${CLASS_COLOURS[value - 1]}"/>`);
    });
  }
  if (group.boxes) {
    for (const { label, box } of scene.objects) {
      const [x, y, width, height] = box.map((length) => length * ZOOM);
      const stroke = `fill="none" stroke="${CLASS_COLOURS[label]}" stroke-width="2"`;
      parts.push(`<rect x="${left + x}" y="${top + y}" width="${width}" height="${height}" ${stroke}/>`);
    }
  }
  const text = scene.objects.map(({ label }) => label).join(" ");
  parts.push(`<text class="label" x="${left + CELL / 2}" y="${top + CELL + 13}">${text}</text>`);
  return parts;
}

const columns = GROUPS.flatMap((group) => Array.from({ length: group.columns }, (_, i) => ({ group, index: i })));
const leftOf = (column) => NAME_WIDTH + column * (CELL + GAP) + 2 * GAP * GROUPS.indexOf(columns[column].group);
const width = leftOf(columns.length - 1) + CELL + GAP;
const height = HEAD + WORLD_DOMAINS.length * (CELL + LABEL_HEIGHT + GAP) + GAP;
const worlds = new Map(GROUPS.map((group) => [group, createWorld({ seed: SEED, size: SIZE, digits: group.digits })]));
const [images, svg] = [[], []];

for (const group of GROUPS) {
  const left = leftOf(columns.findIndex((column) => column.group === group));
  svg.push(`<text class="head" x="${left}" y="22">${group.title}</text>`);
}
for (const [row, { name, summary }] of WORLD_DOMAINS.entries()) {
  const top = HEAD + row * (CELL + LABEL_HEIGHT + GAP);
  svg.push(`<text class="name" x="12" y="${top + 24}">${escape(name)}</text>`);
  for (const [line, text] of wrap(summary, 27).entries()) {
    svg.push(`<text class="summary" x="12" y="${top + 44 + 15 * line}">${escape(text)}</text>`);
  }
  for (const [column, { group, index }] of columns.entries()) {
    const scene = worlds.get(group).scene(name, "test", index);
    images.push({ input: await enlarge(scene), left: leftOf(column), top });
    svg.push(...drawTruth(scene, group, leftOf(column), top));
  }
}

const style = `text { font-family: "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #222 }
.name { font-size: 17px; font-weight: bold } .summary { font-size: 12px; fill: #555 }
.label { font-size: 12px; text-anchor: middle } .head { font-size: 14px; fill: #555 }`;
const overlay = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><style>${style}</style>${svg.join("")}</svg>`;
mkdirSync(fileURLToPath(new URL("../docs/images/", import.meta.url)), { recursive: true });
await sharp({ create: { width, height, channels: 3, background: "#fafafa" } })
  .composite([...images, { input: Buffer.from(overlay), left: 0, top: 0 }])
  .png({ compressionLevel: 9 })
  .toFile(OUTPUT);
console.log(`wrote ${OUTPUT} (${width}x${height})`);
