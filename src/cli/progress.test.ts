import { afterEach, describe, expect, it, vi } from "vitest";
import { createReporter } from "./progress.js";

afterEach(() => vi.useRealTimers());

/** What is written when 100 steps of 1 s each are reported. */
function report(isTTY: boolean): string[] {
  vi.useFakeTimers();
  const written: string[] = [];
  const reporter = createReporter({ write: (text) => written.push(text) }, { isTTY, quiet: false });
  for (let done = 1; done <= 100; done++) {
    vi.advanceTimersByTime(1000);
    for (let again = 0; again < 3; again++) reporter.onProgress({ stage: "train", done: done - 0.5, total: 100 });
  }
  reporter.onProgress({ stage: "train", done: 100, total: 100 });
  return written;
}

describe("progress", () => {
  it("is a sparse line every ten seconds, and one at the end, where nobody watches", () => {
    const lines = report(false);
    expect(lines).toHaveLength(11);
    expect(lines.at(-1)).toBe("train 100/100\n");
  });

  it("updates one line on a terminal, at most ten times a second", () => {
    const lines = report(true);
    expect(lines).toHaveLength(101);
    expect(lines.every((line) => line.startsWith("\r\x1b[2K") && !line.includes("\n"))).toBe(true);
  });
});
