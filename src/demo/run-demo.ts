import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { normalizationParameters } from "../adapt/index.js";
import { isLimberError, type LongCall } from "../base/index.js";
import { costsOf } from "../elastic/index.js";
import type { Model } from "../graph/index.js";
import { type MachineOptions, readModelFile, type SessionOptions, writeFileAtomic } from "../run/node.js";
import { type Domain, parsePreprocessing, type Preprocessing, preprocessingFromMetadata } from "../vision/index.js";
import { type LineVisit, meetInLine } from "./line.js";
import { CONTENDERS, type DemoPlan, planDemo, type PlanOptions } from "./plan.js";
import { formatReportPage } from "./report/page.js";
import type { DemoHeadline, DemoResult, Machine } from "./result.js";
import { runTogether, type Together } from "./together.js";
import { claimRunFolder, Journal, toCsv } from "./run-folder.js";
import { meetDomains, type Visit, type VisitRow } from "./visit.js";

/** What is to be published as a file. */
export interface AdaptedModel {
  readonly path: string;
  readonly model: Model;
  readonly method: string;
  readonly methodOptions: unknown;
  readonly data: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly preprocessing: Preprocessing;
  /** Images that it must predict as measured. */
  readonly probe: Domain;
}

export interface DemoOptions extends PlanOptions, LongCall, SessionOptions, MachineOptions {
  /** Where run folders go. */
  readonly runs: string;
  /** The command line that repeats this run. */
  readonly command: string;
  /** The source model. Default: the one that comes with Limber. */
  readonly modelPath?: string | undefined;
  /** What three models in a line go through; default fog and night, none: leave them out. */
  readonly drifts?: readonly string[] | undefined;
  /** Windows in which three apps share the device; default 3, 0: leave them out. */
  readonly windows?: number | undefined;
  readonly onVisit?: ((row: VisitRow, visits: number) => void) | undefined;
  /** Stamps, verifies and writes a model. */
  readonly publish: (adapted: AdaptedModel) => Promise<void>;
}

/** The classifier of the embedded world; the package root is two levels up from src/demo and from dist/demo alike. */
export const WORLD_MODEL_PATH = fileURLToPath(new URL("../../models/world-resnet8.onnx", import.meta.url));

const DEMO_DRIFTS = ["fog", "night"];

/** A master of that classifier, from which ElasticDNN cuts its small models. */
export const WORLD_MASTER_PATH = fileURLToPath(new URL("../../models/elastic/master.onnx", import.meta.url));

/**
 * A source model meets domain after domain: measures it frozen, under Tent, patched, and as small models of its master, and leaves a
 * run folder. When stopped, the files tell of the visits that are done.
 * Throws: what `adapt` and `readModelFile` throw; `io.full`, `io.failed`, `aborted`.
 */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { seed, signal, threads, provider, onProgress, command } = options;
  const model = await readModelFile(options.modelPath ?? WORLD_MODEL_PATH);
  const preprocessing = parsePreprocessing(preprocessingFromMetadata(model.metadata), "source model");
  const plan = planDemo(options);
  const master = await readModelFile(WORLD_MASTER_PATH);
  const folder = await claimRunFolder(options.runs, "demo");
  const { macs: sourceMacs, sizeBytes: sourceBytes } = costsOf(model, preprocessing);
  const figures = { patchValues: countPatchValues(model), sourceMacs, sourceBytes };
  const run = new Run(folder, plan, { seed, command, machine: describeMachine() }, figures);
  await run.begin();
  const onEvent = run.journal.add.bind(run.journal);
  try {
    for await (const visit of meetDomains(model, master, plan, {
      preprocessing,
      seed,
      signal,
      threads,
      provider,
      onProgress,
      onEvent,
    })) {
      await run.add(visit);
      options.onVisit?.(visit.row, plan.visits.length);
    }
    const drifts = options.drifts ?? DEMO_DRIFTS;
    if (drifts.length > 0)
      for await (const visit of meetInLine({ drifts, seed, signal, threads, provider, onProgress, onEvent }))
        await run.addLine(visit);
    if (options.windows !== 0)
      await run.addTogether(
        await runTogether({ windows: options.windows, seed, signal, threads, onProgress, onEvent }),
      );
  } catch (error) {
    if (isLimberError(error, "aborted")) await run.end("stopped");
    throw error;
  }
  await run.publish((adapted) => options.publish({ ...adapted, preprocessing }));
  return run.end("finished");
}

/** The files of one run. */
class Run {
  readonly journal: Journal;
  private readonly visits: Visit[] = [];
  private readonly line: LineVisit[] = [];
  private together: Together | undefined;

  constructor(
    private readonly folder: string,
    private readonly plan: DemoPlan,
    private readonly origin: Pick<DemoResult, "seed" | "command" | "machine">,
    private readonly figures: Pick<DemoHeadline, "patchValues" | "sourceMacs" | "sourceBytes">,
  ) {
    this.journal = new Journal(join(folder, "events.jsonl"));
  }

  async begin(): Promise<void> {
    const { visits, images, labelled } = this.plan;
    const methods = Object.values(CONTENDERS).map(({ method, methodOptions }) => ({
      name: method.name,
      ...methodOptions,
    }));
    const settings = { visits: visits.map(({ name }) => name), images, labelled, methods };
    await this.write("args.json", `${JSON.stringify({ ...this.origin, ...settings }, undefined, 2)}\n`);
    this.journal.add("start", { at: new Date().toISOString(), ...this.origin });
    await this.journal.write();
  }

  async add(visit: Visit): Promise<void> {
    this.visits.push(visit);
    await this.write("results.csv", toCsv(this.visits.map(({ row }) => row)));
    await this.journal.write();
  }

  async addLine(visit: LineVisit): Promise<void> {
    this.line.push(visit);
    await this.journal.write();
  }

  async addTogether(together: Together): Promise<void> {
    this.together = together;
    await this.journal.write();
  }

  /** Writes the model of each method as the last visit left it. */
  async publish(publish: (adapted: Omit<AdaptedModel, "preprocessing">) => Promise<void>): Promise<void> {
    const { row, models } = this.visits.at(-1)!;
    const probe = this.plan.visits.at(-1)!.stream;
    for (const [file, key, model, accuracy] of [
      ["tent.onnx", "tent", models.tent, row.tentAfter],
      ["patched.onnx", "patch", models.patched, row.patched],
      ["elastic.onnx", "elastic", models.elastic, row.elastic],
    ] as const) {
      const { method, methodOptions } = CONTENDERS[key];
      const metrics = { sourceAccuracy: row.source, afterAccuracy: accuracy };
      const path = join(this.folder, "weights", file);
      await publish({ path, model, method: method.name, methodOptions, data: `world: ${row.name}`, metrics, probe });
      this.journal.add("exported", { file: `weights/${file}`, domain: row.name, accuracy });
    }
  }

  async end(how: "finished" | "stopped"): Promise<DemoResult> {
    const domains = this.visits.map(({ row }) => row);
    const headline = { ...meansOf(domains), ...this.figures, seconds: this.journal.seconds };
    const line = this.line.flatMap(({ rows }) => rows);
    const together = this.together ?? null;
    const result = { headline, domains, line, together, folder: this.folder, ...this.origin };
    this.journal.add(how, { visits: domains.length, headline });
    await this.journal.write();
    await this.write("results.html", await formatReportPage(result, this.visits, this.plan, this.line));
    return result;
  }

  private write(name: string, text: string): Promise<void> {
    return writeFileAtomic(join(this.folder, name), text);
  }
}

function meansOf(
  rows: readonly VisitRow[],
): Omit<DemoHeadline, "patchValues" | "sourceMacs" | "sourceBytes" | "seconds"> {
  const learned = rows.filter(({ returning }) => !returning);
  const mean = (key: keyof DemoHeadline & keyof VisitRow, among = rows): number =>
    among.reduce((sum, row) => sum + row[key], 0) / Math.max(1, among.length);
  return {
    ...{ source: mean("source"), bn: mean("bn"), tentOnline: mean("tentOnline"), tentAfter: mean("tentAfter") },
    ...{ elasticBefore: mean("elasticBefore"), elastic: mean("elastic") },
    ...{ elasticMadeSeconds: mean("elasticMadeSeconds"), elasticSeconds: mean("elasticSeconds") },
    ...{ elasticMacs: Math.round(mean("elasticMacs")), elasticBytes: Math.round(mean("elasticBytes")) },
    ...{ patched: mean("patched"), tentSeconds: mean("tentSeconds"), patchSeconds: mean("patchSeconds", learned) },
  };
}

/** How many numbers a patch of the normalization layers holds: scale, shift, mean and variance of every channel. */
const countPatchValues = (model: Model): number =>
  2 * normalizationParameters("finetune", model).reduce((sum, { tensor }) => sum + tensor.data.length, 0);

function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? process.arch,
    threads: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${process.arch}`,
    node: process.versions.node,
  };
}
