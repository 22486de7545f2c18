import type { Descent } from "./descent.js";
import type { Measurement } from "./measure.js";
import type { RealModel } from "./models.js";

/** What the tests found out about one model. */
export interface Row {
  readonly path: string;
  readonly task: RealModel["task"];
  readonly inspected?: {
    readonly opset: number;
    readonly nodes: number;
    readonly parameters: number;
    readonly trainable: number;
    readonly macs: number;
  };
  readonly measurements?: readonly Measurement[];
  readonly steps?: Readonly<Record<string, Descent>>;
}

const count = (value: number | undefined): string => value?.toLocaleString("en-US") ?? "";
const nameOf = (path: string): string => `\`${path.replace(/^.*\/|\.onnx$/g, "")}\``;

/** The page docs/models.md. */
export function writeTable(rows: readonly Row[]): string {
  const graphs = rows.map(({ path, inspected, steps = {} }) => [
    nameOf(path),
    String(inspected?.opset),
    count(inspected?.nodes),
    count(inspected?.parameters),
    count(inspected?.trainable),
    ((inspected?.macs ?? 0) / 1e6).toFixed(1),
    Object.values(steps)[0]?.loss ?? "",
  ]);
  const figures = rows.flatMap(({ path, measurements = [] }) =>
    measurements.map(({ of, unit, images, found, expected }) => {
      return [nameOf(path), unit, found.toFixed(1), count(images), expected.toFixed(1), of];
    }),
  );
  return `# Real models

Networks that others trained and exported, through all of Limber. Written by the tests themselves, where the data is
(LIMBER_DATA, not part of this project; see its licences):

\`\`\`sh
npm run test:full -- test/real-models.test.ts -u
\`\`\`

## Read, described, trained

\`limber inspect\` finds no node in them that stops a gradient. _Reached_ are parameters before the first output; the others belong
to another output, and stay as they are. One step of plain gradient descent on all of them goes so far that the loss of its batch
should fall by a thousandth, and it falls by that within 10 %, with stored and with batch statistics: the gradient of the whole
network is right. Without labels the loss is the squared distance to the outputs of a copy whose weights were shaken by 5 %; labels
of pixels give a cross-entropy per pixel.

${tableOf(["model", "opset", "nodes", "parameters", "reached", "MMACs", "loss"], graphs)}

## As good as others measured

In percent. _Elsewhere_ was measured with PyTorch or ONNX Runtime, mostly on a larger part of the same set, so that a few points
lie between them by chance. The photo domain of PACS is better here because the classifier was fitted to these very photos.

${tableOf(["model", "figure", "found", "images", "elsewhere", "on"], figures)}
`;
}

function tableOf(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const isText = header.map((_, i) => rows.every((row) => !/^[\d.,]+$/.test(row[i]!)));
  const pad = (text: string, i: number): string => (isText[i] ? text.padEnd(widths[i]!) : text.padStart(widths[i]!));
  const line = (cells: readonly string[]): string => `| ${cells.map(pad).join(" | ")} |`;
  const rule = widths.map((width, i) => (isText[i] ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(header), line(rule), ...rows.map(line)].join("\n");
}
