import { readFile } from "node:fs/promises";
import { z } from "zod";
import { LimberError } from "../../base/index.js";
import { fileError, writeFileAtomic } from "../../run/node.js";
import { TASKS } from "../../vision/index.js";
import type { Trace } from "../trace.js";

const share = z.number().min(0).max(1);
const positive = z.number().min(0);
const signals = z.object({
  ...{ confidence: share, entropy: share, marginalEntropy: share, atc: share },
  ...{ distance: positive, agreement: share },
});
const level = z.object({
  name: z.string(),
  sparsity: share.optional(),
  size: z.int().min(0),
  ...{ inferMs: positive, stepMs: positive, makeMs: positive, memoryBytes: positive },
});
const curve = z
  .object({
    level: z.int().min(0),
    steps: z.array(z.int().min(0)),
    scores: z.array(share),
    signals: z.array(signals),
  })
  .refine(
    ({ steps, scores, signals }) =>
      steps[0] === 0 &&
      steps.length === scores.length &&
      steps.length === signals.length &&
      steps.every((step, i) => i === 0 || step > steps[i - 1]!),
    "steps that rise from 0, with a score and signals for each",
  );
const traceSchema = z
  .object({
    ...{ version: z.literal(1), kind: z.string(), task: z.enum(TASKS), metric: z.string() },
    ...{ command: z.string(), machine: z.string() },
    sourceScores: z.array(share),
    sourceSignals: z.array(signals),
    levels: z.array(level).min(1),
    drifts: z.array(z.object({ name: z.string(), isValidation: z.boolean(), curves: z.array(curve) })),
  })
  .refine(
    ({ levels, sourceScores, drifts }) =>
      sourceScores.length === levels.length &&
      drifts.every(({ curves }) => curves.every((each) => each.level < levels.length)),
    "a source score for each level, and curves of those levels",
  );

/** Reads a trace. Throws: `io.not-found`, `io.failed`, `data.invalid` for a file that is no trace. */
export async function readTrace(path: string): Promise<Trace> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw fileError(`trace "${path}"`, cause);
  });
  return parseTrace(path, text);
}

function parseTrace(path: string, text: string): Trace {
  const refuse = (got: string, cause?: unknown): LimberError => {
    const message = `trace "${path}": costs and curves as \`limber bench schedule --record\` writes them, got ${got}; record it anew`;
    return new LimberError("data.invalid", message, { path }, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse("no JSON", cause);
  }
  const found = traceSchema.safeParse(value);
  if (found.success) return found.data;
  const [issue] = found.error.issues;
  throw refuse(`"${issue!.path.join(".")}": ${issue!.message}`);
}

/** Writes a trace, one line for each curve, so that changes can be read. */
export function writeTrace(path: string, { drifts, ...trace }: Trace): Promise<void> {
  const lines = drifts.map(({ curves, ...drift }) => {
    const rows = curves.map((each) => `      ${JSON.stringify(each)}`).join(",\n");
    return `    ${JSON.stringify(drift).slice(0, -1)},"curves":[\n${rows}\n    ]}`;
  });
  const head = JSON.stringify(trace, undefined, 2).slice(0, -2);
  return writeFileAtomic(path, `${head},\n  "drifts": [\n${lines.join(",\n")}\n  ]\n}\n`);
}
