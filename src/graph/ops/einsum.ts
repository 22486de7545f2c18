import { LimberError } from "../../base/index.js";

/** The axes of operands and result by their labels, `...` spelled out. Axes of one label run together. */
export interface EinsumLabels {
  readonly operands: readonly (readonly string[])[];
  readonly result: readonly string[];
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** A term's letters, with null for `...`. */
const lettersOf = (term: string): (string | null)[] =>
  Array.from(term.replace("...", "\0"), (letter) => (letter === "\0" ? null : letter));

/** The axes under `...` align at their ends, so they are numbered from there. */
const spellOut = (letters: readonly (string | null)[], width: number): string[] =>
  letters.flatMap((letter) => letter ?? Array.from({ length: width }, (_, i) => `...${width - 1 - i}`));

/**
 * Reads an equation such as `bhid,bhjd->bhij` for operands of the given ranks.
 * Without an arrow the result has the axes of `...`, then the labels that occur once, in order.
 * Throws: `shape.mismatch` when equation and operands do not fit.
 */
export function parseEinsum(equation: string, ranks: readonly number[]): EinsumLabels {
  const [left = "", right] = equation.replaceAll(" ", "").split("->");
  const terms = left.split(",").map(lettersOf);
  const refuse = (expectation: string): LimberError =>
    new LimberError("shape.mismatch", `equation "${equation}": ${expectation}`);
  if (terms.length !== ranks.length) throw refuse(`${ranks.length} operands, got ${terms.length}`);
  const widths = terms.map((term, i) => ranks[i]! - term.filter((letter) => letter !== null).length);
  widths.forEach((width, i) => {
    if (width < 0 || (width > 0 && !terms[i]!.includes(null)))
      throw refuse(`as many labels as operand ${i} has axes (${ranks[i]}), got ${ranks[i]! - width}`);
  });
  const operands = terms.map((term, i) => spellOut(term, widths[i]!));
  const width = Math.max(0, ...widths);
  const known = operands.flat();
  const once = [...new Set(known)].filter(
    (label) => label.length === 1 && known.indexOf(label) === known.lastIndexOf(label),
  );
  const result = spellOut(right === undefined ? [null, ...once.sort()] : lettersOf(right), width);
  if (result.some((label, i) => !known.includes(label) || result.indexOf(label) !== i))
    throw refuse("a result of labels of the operands, each once");
  return { operands, result };
}

/** The equation of some labels; axes under `...` become letters that are still free. */
export function formatEinsum({ operands, result }: EinsumLabels): string {
  const labels = new Set([...operands.flat(), ...result]);
  const free = Array.from(LETTERS)
    .filter((letter) => !labels.has(letter))
    .values();
  const letters = new Map(
    [...labels].map((label) => [label, label.length === 1 ? label : (free.next().value ?? label)]),
  );
  const term = (list: readonly string[]): string => list.map((label) => letters.get(label)).join("");
  return `${operands.map(term).join(",")}->${term(result)}`;
}
