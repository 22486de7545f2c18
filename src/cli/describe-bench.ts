import {
  CONTESTANTS,
  type EngineReport,
  type EngineRow,
  geomean,
  MODE_NAMES,
  MODES,
  PEER_NAMES,
  worstFirst,
} from "../bench/index.js";
import { formatTable } from "./format.js";

/** The rows, the worst first, then the means of each mode, then who could not take part. */
export function describeBench({ headline, rows, machine, versions, complete }: EngineReport): string {
  const peers = PEER_NAMES.filter((name) => rows.some((row) => row.peers[name]?.stepMs != null));
  const header = ["network", "mode", "ms", ...peers.map((name) => `${name} ms`), ...peers.map((name) => `x ${name}`)];
  const cells = worstFirst(rows).map((row) => [
    ...[row.network, row.mode, figure(row.limber.stepMs, 1)],
    ...peers.map((name) => figure(row.peers[name]?.stepMs, 1)),
    ...peers.map((name) => figure(row.peers[name]?.ratio)),
    ...[percent(row.roofShare), figure(row.limber.peakMb, 0), figure(row.memoryRatio)],
  ]);
  const table = formatTable([...header, "roof", "peak MB", "memory x"], cells);
  const { worst, roofShare, memoryRatio } = headline;
  const summary = [
    ...MODE_NAMES.flatMap((mode) => describeMode(mode, rows)),
    ...(worst ? [`worst: ${worst.network}, ${MODES[worst.mode].title}: ${figure(worst.ratio)} x`] : []),
    `means: ${percent(roofShare)} of the roof (${figure(machine.roofGmacPerS, 0)} GMAC/s), memory ${figure(memoryRatio)} x PyTorch's`,
    `${machine.processor}, ${machine.processors} processors; ${[...new Set(Object.values(versions))].join(", ") || "no peer"}`,
  ];
  const stopped = complete ? [] : ["", "stopped before the end: these rows are finished"];
  return [table, "", ...summary, ...describeAbsent(rows), ...stopped].join("\n");
}

function describeMode(mode: EngineRow["mode"], rows: readonly EngineRow[]): string[] {
  const inMode = rows.filter((row) => row.mode === mode);
  const mean = geomean(inMode.map(({ ratio }) => ratio));
  const other = geomean(inMode.map(({ peers }) => peers["channels-last"]?.ratio ?? null));
  if (mean === null) return [];
  return [`${MODES[mode].title}: ${figure(mean)} x PyTorch eager, ${figure(other)} x channels-last`];
}

/** Who has no time in a row, and why; each reason once. */
function describeAbsent(rows: readonly EngineRow[]): string[] {
  const reasons = rows.flatMap(({ network, mode, limber, peers }) =>
    Object.entries({ limber, ...peers }).flatMap(([name, { stepMs, note }]) =>
      stepMs === null
        ? [{ reason: `${CONTESTANTS[name as keyof typeof CONTESTANTS].title}: ${note}`, place: `${network} ${mode}` }]
        : [],
    ),
  );
  const places = new Map<string, string[]>();
  for (const { reason, place } of reasons) places.set(reason, [...(places.get(reason) ?? []), place]);
  return [...places].map(([reason, list]) => `${reason} (${list.join(", ")})`);
}

const figure = (value: number | null | undefined, digits = 2): string =>
  value === null || value === undefined ? "-" : value.toFixed(digits);
const percent = (share: number | null): string => (share === null ? "-" : `${(100 * share).toFixed(0)} %`);
