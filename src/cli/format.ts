import type { Dim } from "../graph/index.js";

/** Rows under a header; text to the left, numbers to the right, two spaces between. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  return [line(header), ...rows.map(line)].map((text) => text.trimEnd()).join("\n");
}

/** `84.25 %`, or `-` where nothing was measured. */
export const formatShare = (share: number | null): string => (share === null ? "-" : `${(100 * share).toFixed(2)} %`);

/** `1,234,567` */
export const formatCount = (count: number): string => count.toLocaleString("en-US");

/** `[batch,3,32,32]`; `?` for an axis without a name. */
export const formatDims = (dims: readonly Dim[] | undefined): string =>
  dims ? `[${dims.map((dim) => (dim === "" ? "?" : dim)).join(",")}]` : "[...]";

/** `3 images skipped`, or nothing. */
export const formatSkipped = (count: number): string =>
  count === 0 ? "" : `\n${formatCount(count)} ${count === 1 ? "image" : "images"} skipped`;

/** Records of one shape as CSV, keys as the header. Source: RFC 4180. */
export function formatCsv(records: readonly Readonly<Record<string, unknown>>[]): string {
  const quote = (value: unknown): string => {
    const text = String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = [Object.keys(records[0] ?? {}), ...records.map((record) => Object.values(record))];
  return rows.map((row) => `${row.map(quote).join(",")}\n`).join("");
}
