import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { LimberError } from "../../base/index.js";
import { BENCH_NETWORKS, benchEngine, type EngineReport } from "../../bench/index.js";
import { defineCommand } from "../command.js";

/** `bench <what>`: how fast is this machine, beside what others are used to? */
export const bench = defineCommand({
  name: "bench",
  summary: "Measure training steps beside PyTorch in the same run",
  args: { what: { help: "the benchmark: engine" } },
  flags: {
    networks: { kind: "list", help: `networks to time (${BENCH_NETWORKS.map((n) => n.name).join(", ")}); default all` },
    rounds: { kind: "number", help: "interleaved rounds that count", default: 7, minimum: 5 },
    python: {
      kind: "text",
      help: "a Python with the packages of peers/requirements.txt; default python3 if it has them",
      value: "path",
    },
  },
  examples: ["bench engine --json", "bench engine --networks resnet20 --python ../venv/bin/python"],
  async run({ args, flags, threads, seed, signal, onProgress, note }) {
    if (args.what !== "engine") throw new LimberError("config.invalid", `bench: one of engine, got "${args.what}"`);
    const names = BENCH_NETWORKS.map(({ name }) => name);
    const unknown = flags.networks?.find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw new LimberError("config.invalid", `networks: of ${names.join(", ")}, got "${unknown}"`);
    const python = flags.python ?? findPython();
    if (python === undefined) note("no Python with PyTorch found: only our side is timed; see peers/README.md");
    const options = { ...flags, python, threads: threads ?? availableParallelism(), signal, onProgress };
    const report = await benchEngine(options);
    const chosen = flags.networks ? [`--networks ${flags.networks.join(",")}`] : [];
    const command = ["limber bench engine", `--rounds ${flags.rounds}`, `--threads ${options.threads}`, ...chosen].join(
      " ",
    );
    return { json: { ...report, seed, command }, text: format(report) };
  },
});

/** The usual Python, when it can import PyTorch. */
function findPython(): string | undefined {
  try {
    execFileSync("python3", ["-c", "import torch"], { stdio: "ignore" });
    return "python3";
  } catch {
    return undefined;
  }
}

function format({ headline, rows, machine }: EngineReport): string {
  const number = (value: number | null, digits = 1): string => (value === null ? "-" : value.toFixed(digits));
  const header = [
    "network",
    "batch",
    "step ms",
    "eager ms",
    "ch-last ms",
    "x eager",
    "x ch-last",
    "create ms",
    "peak MB",
    "torch MB",
  ];
  const cells = rows.map((row) => [
    row.network,
    String(row.batch),
    number(row.stepMs),
    number(row.torchEagerMs),
    number(row.torchChannelsLastMs),
    number(row.ratioEager, 2),
    number(row.ratioChannelsLast, 2),
    number(row.createMs, 0),
    number(row.peakMb, 0),
    number(row.torchPeakMb, 0),
  ]);
  const widths = header.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  const { worst, geomeanEager, torch } = headline;
  const summary = worst
    ? `PyTorch ${torch}: ${number(geomeanEager, 2)}x eager (geometric mean), worst ${worst.network} ${number(worst.ratioEager, 2)}x`
    : "no peer";
  return [
    line(header),
    ...cells.map(line),
    "",
    `${machine.processor}, ${machine.processors} processors. ${summary}`,
  ].join("\n");
}
