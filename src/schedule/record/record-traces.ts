import { mkdir } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { isLimberError, type LongCall } from "../../base/index.js";
import { createMachine, fileError, type SessionOptions } from "../../run/node.js";
import type { AppKind, Recording } from "../kinds/app-kind.js";
import type { Trace } from "../trace.js";
import { recordTrace } from "./record-trace.js";
import { readTrace, writeTrace } from "./trace-file.js";

export interface RecordTracesOptions extends LongCall, SessionOptions, Partial<Recording> {
  /** Where traces go, one `<kind>.json` each; drifts that are there already are not recorded again. */
  readonly folder: string;
  readonly kinds: readonly AppKind[];
  /** Default: as the kind has it. */
  readonly sparsities?: readonly number[] | undefined;
  /** What repeats it. */
  readonly command: string;
  /** Measures costs again, where those of a trace that is there were taken on a busy or another machine. */
  readonly reprofiles?: boolean | undefined;
}

/** Records each kind: the drifts of its cameras, and its source under others, from which estimators learn. Throws: `aborted`, `io.not-found`. */
export async function recordTraces(options: RecordTracesOptions): Promise<readonly Trace[]> {
  await mkdir(options.folder, { recursive: true }).catch((cause: unknown) => {
    throw fileError(`folder "${options.folder}"`, cause);
  });
  const traces: Trace[] = [];
  for (const kind of options.kinds) traces.push(await recordKind(kind, options));
  return traces;
}

async function recordKind(kind: AppKind, options: RecordTracesOptions): Promise<Trace> {
  const { recording, batchSize } = kind;
  const { folder, pool = recording.pool, held = recording.held, steps = recording.steps, command } = options;
  const { sparsities, threads, optimization, signal, onProgress } = options;
  const app = await kind.open({ sparsities, threads });
  const path = join(folder, `${kind.name}.json`);
  const drifts = kind.recordedDrifts(pool + held);
  await using machine = createMachine();
  const before = await findTrace(path);
  const trace = await recordTrace(app, {
    ...{ machine, source: kind.sourcePictures(pool + held), drifts, steps, pool, held, batchSize },
    ...{ threads, optimization, signal, onProgress, command },
    machineName: `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} threads, one used`,
    recorded: before && options.reprofiles ? { ...before, levels: [] } : before,
    onRecorded: (partial) => writeTrace(path, partial),
  });
  await writeTrace(path, trace);
  return trace;
}

/** What was recorded there before, if anything. Throws: `data.invalid`. */
async function findTrace(path: string): Promise<Trace | undefined> {
  try {
    return await readTrace(path);
  } catch (error) {
    if (isLimberError(error, "io.not-found")) return undefined;
    throw error;
  }
}
