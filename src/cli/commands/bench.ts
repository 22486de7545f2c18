import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { LimberError } from "../../base/index.js";
import {
  BENCH_NETWORKS,
  benchEngine,
  CONTESTANTS,
  drawEngineReport,
  engineRow,
  flatten,
  MODE_NAMES,
  PEER_NAMES,
  openRowFile,
  worstFirst,
} from "../../bench/index.js";
import { writeFileAtomic } from "../../run/node.js";
import { ELASTIC_BENCH_FLAGS, runElasticBench } from "../bench-elastic.js";
import { PATCH_BENCH_FLAGS, runPatchBench } from "../bench-patch.js";
import { runScheduleBench, SCHEDULE_BENCH_FLAGS } from "../bench-schedule.js";
import { defineCommand, EXIT, type FlagValues } from "../command.js";
import { describeBench } from "../describe-bench.js";
import { formatCsv } from "../format.js";
import { TUNE_FLAGS } from "../tune.js";

const NETWORK_NAMES = BENCH_NETWORKS.map(({ name }) => name);
const BENCH_FLAGS = {
  networks: { kind: "list", help: `networks to time: ${NETWORK_NAMES.join(", ")}; default all` },
  modes: { kind: "list", help: `what a step does: ${MODE_NAMES.join(", ")}; default all` },
  peers: {
    kind: "list",
    default: ["eager", "channels-last"],
    help: `beside whom: ${PEER_NAMES.join(", ")}; all but the first two from peers/js`,
  },
  rounds: { kind: "number", help: "interleaved rounds that count", default: 7, minimum: 5 },
  python: {
    kind: "text",
    help: "a Python with the packages of peers/requirements.txt; default python3 if it has them",
    value: "path",
  },
  ...TUNE_FLAGS,
  rows: {
    kind: "text",
    help: "keep finished rows in this file, and do not measure again what is in it",
    value: "file",
  },
  csv: { kind: "text", help: "write the rows as a table", value: "file" },
  chart: { kind: "text", help: "write a page with charts", value: "file" },
  ...ELASTIC_BENCH_FLAGS,
  ...PATCH_BENCH_FLAGS,
  ...SCHEDULE_BENCH_FLAGS,
} as const;

/** `bench <what>`: how fast is this machine, beside what others are used to? */
export const bench = defineCommand({
  name: "bench",
  summary: "Measure training steps beside PyTorch; ElasticDNN, PatchLine and the scheduler beside others",
  args: { what: { help: "the benchmark: engine, elastic, patch or schedule" } },
  flags: BENCH_FLAGS,
  examples: [
    "bench engine --json",
    "bench engine --networks resnet20 --modes full,inference --python ../venv/bin/python",
    "bench engine --rows bench.jsonl --csv bench.csv --chart bench.html",
    "bench elastic --world digits --json",
    "bench patch --world digits --seeds 1 --json",
    "bench schedule --seeds 3 --json",
  ],
  async run({ args, flags, ...context }) {
    const { threads = availableParallelism(), seed, signal, onProgress, note } = context;
    if (args.what === "elastic") return runElasticBench(flags, { ...context, threads });
    if (args.what === "patch") return runPatchBench(flags, { ...context, threads });
    if (args.what === "schedule") return runScheduleBench(flags, { ...context, threads });
    if (args.what !== "engine")
      throw new LimberError("config.invalid", `bench: one of engine, elastic, patch, schedule, got "${args.what}"`);
    const networks = flags.networks && checkNames("networks", flags.networks, NETWORK_NAMES);
    const modes = flags.modes && checkNames("modes", flags.modes, MODE_NAMES);
    const peers = checkNames("peers", flags.peers, PEER_NAMES);
    const { tune } = flags;
    const python = flags.python ?? findPython();
    const wanted = peers.some((name) => CONTESTANTS[name].runtime === "python");
    if (python === undefined && wanted) note("no Python with PyTorch found: see peers/README.md");
    const kept = flags.rows === undefined ? undefined : openRowFile(flags.rows, engineRow);
    const report = await benchEngine({
      ...{ networks, modes, peers, rounds: flags.rounds, threads, python, tune, signal, onProgress },
      known: kept?.rows.filter((row) => row.threads === threads && row.tune === tune) ?? [],
      onRow: (row) => kept?.append(row),
    });
    const files = [
      [flags.csv, () => formatCsv(worstFirst(report.rows).map((row) => flatten(row, peers)))],
      [flags.chart, () => drawEngineReport(report)],
    ] as const;
    for (const [path, write] of files) if (path !== undefined) await writeFileAtomic(path, write());
    const json = { ...report, rows: worstFirst(report.rows), seed, command: commandLine(flags, threads) };
    return { json, text: describeBench(report), exitCode: report.complete ? EXIT.ok : EXIT.interrupted };
  },
});

function checkNames<T extends string>(flag: string, given: readonly string[], known: readonly T[]): readonly T[] {
  const unknown = given.find((name) => !known.some((each) => each === name));
  if (unknown === undefined) return known.filter((name) => given.includes(name));
  throw new LimberError("config.invalid", `${flag}: of ${known.join(", ")}, got "${unknown}"`);
}

/** The usual Python, when it can import PyTorch. */
function findPython(): string | undefined {
  try {
    execFileSync("python3", ["-c", "import torch"], { stdio: "ignore" });
    return "python3";
  } catch {
    return undefined;
  }
}

/** The command line that repeats the measurement. */
const commandLine = (
  { rounds, networks, modes, peers, tune }: FlagValues<typeof BENCH_FLAGS>,
  threads: number,
): string =>
  [
    `limber bench engine --rounds ${rounds} --threads ${threads} --peers ${peers.join(",")}`,
    ...(networks ? [`--networks ${networks.join(",")}`] : []),
    ...(modes ? [`--modes ${modes.join(",")}`] : []),
    ...(tune === "off" ? [] : [`--tune ${tune}`]),
  ].join(" ");
