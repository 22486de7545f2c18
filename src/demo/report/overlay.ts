import { encodeImage, type Image, IGNORED, type Mask, scaleMask, type TruthBox } from "../../vision/index.js";
import { dataUri, html, type Html } from "./html.js";

/** What is drawn over a picture. */
export interface Overlay {
  /** What was found, or is there; with a score where it was found. */
  readonly boxes?: readonly (TruthBox & { readonly score?: number })[] | undefined;
  readonly mask?: Mask | undefined;
}

export interface OverlayOptions {
  /** Names in the order of the labels of boxes; default: numbers. */
  readonly classes?: readonly string[];
  /** Width on the page. Units: CSS pixels. */
  readonly width?: number;
  /** What the picture shows, for those who do not see it. */
  readonly title: string;
  /** The class of a mask that stays clear, besides pixels of no class; the next ones have the colours of boxes from 0 on. Default 0; -1: none. */
  readonly ground?: number;
}

/** Colours that people tell apart whatever their sight. Source: Okabe & Ito 2008, Color Universal Design, without black. */
const COLOURS = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
] as const;

type Rgb = readonly [red: number, green: number, blue: number];

/** The colour of a class; each further round through the colours is darker, then lighter. */
export function colourOf(label: number): Rgb {
  const [red, green, blue] = COLOURS[label % COLOURS.length]!;
  const towards = Math.floor(label / COLOURS.length) % 3;
  const shade = (level: number): number =>
    Math.round(towards === 0 ? level : towards === 1 ? level * 0.55 : level + (255 - level) * 0.55);
  return [shade(red), shade(green), shade(blue)];
}

const cssOf = (colour: Rgb): string => `rgb(${colour.join(" ")})`;

/** A picture with boxes and their classes over it, and a mask at half transparency, as an SVG to put into a page. */
export async function drawOverlay(picture: Image, { boxes, mask }: Overlay, options: OverlayOptions): Promise<Html> {
  const { classes = [], width = 192, title, ground = 0 } = options;
  const scale = width / picture.width;
  const height = Math.round(picture.height * scale);
  const shown = mask ? blend(picture, mask, ground) : picture;
  const png = await encodeImage(shown);
  return html`<svg class="overlay" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
    <title>${title}</title>
    <image href="${dataUri(png)}" width="${width}" height="${height}" preserveAspectRatio="none" />
    ${(boxes ?? []).map((box) => drawBox(box, scale, classes[box.label] ?? String(box.label), width))}
  </svg>`;
}

/** Letters of this size are about this wide. Units: CSS pixels. */
const LETTER = { height: 11, width: 6.2 } as const;

function drawBox(
  { label, corners, score }: TruthBox & { readonly score?: number },
  scale: number,
  name: string,
  width: number,
): Html {
  const [left, top, right, bottom] = corners.map((at) => at * scale) as [number, number, number, number];
  const colour = cssOf(colourOf(label));
  const text = score === undefined ? name : `${name} ${score.toFixed(2)}`;
  const [tagWidth, tagHeight] = [text.length * LETTER.width + 6, LETTER.height + 4];
  const x = Math.max(0, Math.min(left, width - tagWidth));
  const y = top >= tagHeight ? top - tagHeight : top;
  const frame = (stroke: string, thickness: number): Html =>
    html`<rect
      x="${fixed(left)}"
      y="${fixed(top)}"
      width="${fixed(right - left)}"
      height="${fixed(bottom - top)}"
      fill="none"
      stroke="${stroke}"
      stroke-width="${thickness}"
    />`;
  return html`<g>
    ${frame("#000", 3.5)}${frame(colour, 2)}
    <rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(tagWidth)}" height="${tagHeight}" fill="${colour}" />
    <text
      x="${fixed(x + 3)}"
      y="${fixed(y + LETTER.height)}"
      font-size="${LETTER.height}"
      font-family="ui-monospace, monospace"
      fill="${inkOn(label)}"
      >${text}</text
    >
  </g>`;
}

const fixed = (value: number): string => value.toFixed(1);

/** Black or white, whichever stands out more. */
function inkOn(label: number): string {
  const [red, green, blue] = colourOf(label);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 120 ? "#000" : "#fff";
}

/** Of a class of a mask. */
const maskColourOf = (label: number, ground: number): Rgb =>
  colourOf(label > ground && ground >= 0 ? label - 1 : label);

function blend(picture: Image, mask: Mask, ground: number): Image {
  const { data: labels } = scaleMask(mask, picture.width, picture.height);
  const data = new Uint8Array(3 * labels.length);
  labels.forEach((label, pixel) => {
    const isClear = label === ground || label === IGNORED;
    const colour = maskColourOf(label, ground);
    for (let c = 0; c < 3; c++) {
      const level = picture.data[picture.channels === 1 ? pixel : 3 * pixel + c]!;
      data[3 * pixel + c] = isClear ? level : Math.round((level + colour[c]!) / 2);
    }
  });
  return { ...picture, channels: 3, data };
}

/** The same picture under several answers side by side, each with its name: before, after, and what is there. */
export async function drawOverlays(
  picture: Image,
  overlays: readonly (readonly [name: string, overlay: Overlay])[],
  options: OverlayOptions,
): Promise<Html> {
  const figures = await Promise.all(
    overlays.map(async ([name, overlay]) => {
      const drawn = await drawOverlay(picture, overlay, { ...options, title: `${options.title}, ${name}` });
      return html`<figure>
        ${drawn}
        <figcaption>${name}</figcaption>
      </figure>`;
    }),
  );
  return html`<div class="overlays">${figures}</div>`;
}

/** Which colour of a mask is which class; `names` as the mask numbers them. */
export function drawLegend(names: readonly string[], ground = 0): Html {
  const entries = names.flatMap((name, label) =>
    label === ground ? [] : [html`<li><i style="background: ${cssOf(maskColourOf(label, ground))}"></i>${name}</li>`],
  );
  return html`<ul class="colours">
    ${entries}
  </ul>`;
}

/** How the parts above stand on a page. */
export const OVERLAY_STYLE = `
.overlays { display: flex; flex-wrap: wrap; gap: 10px } .overlays figure { margin: 0; padding: 0; border: 0; background: none } .overlays figcaption { text-align: center; margin: 2px 0 0; font-size: 13px }
.colours { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 6px 0; padding: 0; list-style: none; font-size: 13.5px }
.colours i { display: inline-block; width: 11px; height: 11px; margin-right: 5px; border-radius: 2px }
.overlay { display: block; border-radius: 4px } .overlay image { image-rendering: pixelated }
`;
