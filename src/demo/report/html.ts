/** Text that is HTML already. */
export class Html {
  constructor(readonly text: string) {}
}

type Part = Html | string | number | readonly Html[];

/** A template of HTML in which everything that is not HTML already is escaped. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((text, i) => text + (i < parts.length ? render(parts[i]!) : "")).join(""));
}

function render(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(({ text }) => text).join("");
  return String(part).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** `84.3 %` */
export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** `+12.4`, with a real minus sign, in points. */
export function points(difference: number): string {
  const rounded = (100 * difference).toFixed(1);
  return Number(rounded) === 0 ? "±0.0" : difference > 0 ? `+${rounded}` : `−${rounded.slice(1)}`;
}

export const seconds = (value: number): string => `${value.toFixed(2)} s`;

/** Of seconds. */
export const milliseconds = (value: number): string => `${Math.round(1000 * value)} ms`;

export const kibibytes = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;

/** A PNG as the address of an image. */
export const dataUri = (png: Uint8Array): string => `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
