// Writes docs/op-coverage.md: what Limber knows about each op, from the tables of the compiler. Needs the build.
// With --check it writes nothing and fails when the file does not say what the tables say.
import { readFileSync, writeFileSync } from "node:fs";
import {
  catalog,
  channelTable,
  costTable,
  gradientTable,
  kernelTable,
  OP_TYPES,
  shapeTable,
} from "../dist/graph/index.js";

const PAGE = new URL("../docs/op-coverage.md", import.meta.url);
const TITLES = ["op", "shape", "reference", "gradient", "cost", "channels"];

/** A rule, or the word that stands for why there is none. */
const wordOf = (entry) => (typeof entry === "function" ? "yes" : entry);

const nameOf = (op) => (catalog[op].domain ? `${catalog[op].domain}::${op}` : op);
const rows = OP_TYPES.map((op) => [
  nameOf(op),
  ...[shapeTable, kernelTable, gradientTable].map((table) => wordOf(table[op])),
  typeof costTable[op] === "function" ? "MACs" : costTable[op],
  typeof channelTable[op] === "string" ? channelTable[op] : "yes",
]);
const widths = TITLES.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
const line = (cells, fill = " ") => `| ${cells.map((cell, i) => cell.padEnd(widths[i], fill)).join(" | ")} |`;
const count = (word) => rows.filter((row) => row[3] === word).length;

const page = `# Operators

Written by \`node scripts/op-coverage.mjs\` from the tables in \`src/graph/ops\`; a test fails when it is out of date.

${rows.length} operators: ${count("yes")} with a gradient, ${count("not-differentiable")} that have none, ${count("shape-only")} that read only a shape, ${count("unsupported")} whose gradient nobody wrote yet.
A model with another operator can be read and written, and run where ONNX Runtime knows it; what needs a rule refuses it by name (\`op.unsupported\`,
\`gradient.missing\`). \`limber inspect\` tells which nodes of a model stop the gradient, forms of these operators included.

- **shape**: how output types follow from input types.
- **reference**: the float64 kernel that everything else is tested against.
- **gradient**: \`not-differentiable\` is piecewise constant or an index, and the gradient stops there on purpose; \`shape-only\`
  reads nothing but the shape of its input; \`unsupported\` has a gradient without a rule.
- **cost**: \`MACs\` counts multiply-accumulates; \`free\` only moves or maps elements and counts none.
- **channels**: which channels have to be removed together (see [channel-groups.md](channel-groups.md)); through \`opaque\` ops none go.

${line(TITLES)}
${line(
  TITLES.map(() => ""),
  "-",
)}
${rows.map((row) => line(row)).join("\n")}
`;

if (!process.argv.includes("--check")) writeFileSync(PAGE, page);
else if (readFileSync(PAGE, "utf8") !== page) {
  console.error("docs/op-coverage.md: what the tables say, got something else; run node scripts/op-coverage.mjs");
  process.exit(1);
}
