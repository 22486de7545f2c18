import type { OnProgress } from "../base/index.js";

export interface TextSink {
  write(text: string): unknown;
}

/** Draws progress and notes for a human. */
export interface Reporter {
  readonly onProgress: OnProgress;
  note(line: string): void;
  /** Removes a line that is still being updated. */
  finish(): void;
}

const REDRAW_MS = 100;
const SPARSE_MS = 10_000;

/** On a terminal one line that updates itself; elsewhere a line when a stage ends, and every ten seconds before that. */
export function createReporter(sink: TextSink, { isTTY, quiet }: { isTTY: boolean; quiet: boolean }): Reporter {
  if (quiet) return { onProgress: () => undefined, note: () => undefined, finish: () => undefined };
  let drawnAt = isTTY ? 0 : Date.now();
  let open = false;
  const finish = (): void => {
    if (open) sink.write("\r\x1b[2K");
    open = false;
  };
  return {
    onProgress({ stage, done, total, note }) {
      const now = Date.now();
      const ended = done >= total;
      if (!ended && now - drawnAt < (isTTY ? REDRAW_MS : SPARSE_MS)) return;
      drawnAt = now;
      const line = `${stage} ${done}/${total}${note === undefined ? "" : ` ${note}`}`;
      sink.write(isTTY ? `\r\x1b[2K${line}` : `${line}\n`);
      open = isTTY;
    },
    note(line) {
      finish();
      sink.write(`${line}\n`);
    },
    finish,
  };
}
