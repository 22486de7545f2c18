import type { Allocation, Decision, Plan, PlanRequest, Turn } from "./plan.js";

/** A plan for people: what the device gives to whom, then what decided, by app and with what each grant brings per second of the device. */
export function describePlan(plan: Plan, { device, apps }: PlanRequest): string {
  const refused = new Set(plan.refused);
  const rows = plan.allocations.map((allocation, index) => {
    const { app, level, steps, share, expected, shed } = allocation;
    if (refused.has(app)) return [app, "refused", "-", "-", "-", "-", formatNumber(shed)];
    const { name, size } = apps[index]!.levels[level]!;
    return [app, name, String(size), String(steps), percent(share), expected.toFixed(3), formatNumber(shed)];
  });
  const usage = [
    `planner ${plan.planner}: ${seconds(plan.costMs)} of ${seconds(plan.windowMs)}`,
    `${megabytes(plan.memoryBytes)} of ${megabytes(device.memoryBytes)} MB`,
    `${plan.allocations.length} ${plan.allocations.length === 1 ? "app" : "apps"}`,
  ].join(", ");
  const table = formatColumns([["app", "level", "filters", "steps", "share", "expected", "shed"], ...rows]);
  const reasons = plan.allocations.flatMap((allocation, index) =>
    joinTrainings(allocation.why).map((decision) => [
      allocation.app,
      describeDecision(decision, (level) => apps[index]!.levels[level]!.name),
      signed(decision.gain),
      seconds(decision.costMs),
      formatRate(decision),
    ]),
  );
  const why = formatColumns([["why", "granted", "gain", "time", "gain per second"], ...reasons]);
  const turns = plan.turns?.length ? ["", `in turn  ${describeTurns(plan.turns)}`] : [];
  return [usage, "", table, ...turns, ...(reasons.length === 0 ? [] : ["", why])].join("\n");
}

/** Turns that are told; the first ones matter most. */
const TURNS_TOLD = 12;

function describeTurns(turns: readonly Turn[]): string {
  const told = turns.slice(0, TURNS_TOLD).map(({ app, steps }) => `${app} +${steps}`);
  const more = turns.length - told.length;
  return [...told, ...(more > 0 ? [`${more} more`] : [])].join("; ");
}

/** Trainings that follow each other as one. */
function joinTrainings(decisions: readonly Decision[]): readonly Decision[] {
  const joined: Decision[] = [];
  for (const decision of decisions) {
    const last = joined.at(-1);
    if (decision.action === "train" && last?.action === "train")
      joined.splice(-1, 1, {
        ...{ ...last, to: decision.to },
        ...{ gain: last.gain + decision.gain, costMs: last.costMs + decision.costMs },
      });
    else joined.push(decision);
  }
  return joined;
}

function describeDecision({ action, from, to, steps }: Decision, nameOf: (level: number) => string): string {
  if (action === "train") return `train ${from} to ${to} steps`;
  return `${nameOf(from)} to ${nameOf(to)}${steps === undefined ? "" : `, train ${steps} steps`}`;
}

/** Time within what is kept for an app anyhow costs nothing. */
const formatRate = ({ gain, costMs }: Decision): string => (costMs > 0 ? signed((1000 * gain) / costMs) : "free");
const formatNumber = (value: Allocation["shed"]): string => String(Math.round(value));
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const signed = (value: number): string => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(4)}`;

/** Text to the left, in the first two columns; numbers to the right. */
function formatColumns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}
