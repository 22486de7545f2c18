import { html, Html, STYLE } from "../demo/index.js";

/** What one benchmark says on the page that they all share. */
export interface BenchPage {
  /** Of `limber bench <name>`. */
  readonly name: string;
  readonly title: string;
  /** What the run was, in a sentence or two. */
  readonly lead: string;
  /** Styles beside those of the demo. */
  readonly looks: string;
  /** Figures and what they mean. */
  readonly cards: readonly (readonly [figure: string, meaning: string])[];
  readonly body: readonly Html[];
  /** The command that repeats the run. */
  readonly command?: string | undefined;
  /** Terms and what they were in this run. */
  readonly notes?: readonly (readonly [term: string, text: string])[];
  readonly complete: boolean;
}

/** The report of a benchmark as one page that needs nothing else: no script, no font, no request. */
export function drawBenchPage({
  name,
  title,
  lead,
  looks,
  cards,
  body,
  command,
  notes = [],
  complete,
}: BenchPage): string {
  const told = [...(command === undefined ? [] : [["repeat it", html`<code>${command}</code>`] as const]), ...notes];
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>limber bench ${name}</title>
        <link rel="icon" href="data:," />
        <style>
          ${new Html(STYLE + looks)}
        </style>
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p class="soft">${lead} ${complete ? "" : "The run was stopped before its end."}</p>
          <ul class="cards">
            ${cards.map(([figure, meaning]) => html`<li><b>${figure}</b><span>${meaning}</span></li>`)}
          </ul>
          ${body}
          ${
            told.length === 0
              ? []
              : html`<h2>This run</h2>
                  <dl>
                    ${told.map(
                      ([term, text]) =>
                        html`<dt>${term}</dt>
                          <dd>${text}</dd>`,
                    )}
                  </dl>`
          }
        </main>
      </body>
    </html>`;
  return `${page.text.replace(/\n\s+/g, "\n")}\n`;
}

/** A figure that may be missing. */
export const orDash = (value: number | null, write: (value: number) => string): string =>
  value === null ? "–" : write(value);

export const signed = (value: number): string => `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(2)}`;
