import { LimberError } from "../../base/index.js";
import type { AppState } from "../app.js";
import type { PlanRequest } from "../plan.js";

/** Throws: `config.invalid`, naming the app and what is wrong with it. */
export function checkRequest({ device, apps }: PlanRequest): void {
  check("device", "windowMs", device.windowMs, isTime);
  check("device", "memoryBytes", device.memoryBytes, isAmount);
  check("device", "floorShare", device.floorShare ?? 0, (value) => value >= 0 && value <= 1);
  const names = new Set<string>();
  for (const app of apps) {
    if (names.has(app.name)) refuse(`app "${app.name}"`, "a name of its own", "one that another app has");
    names.add(app.name);
    checkApp(app);
  }
}

function checkApp(app: AppState): void {
  const subject = `app "${app.name}"`;
  check(subject, "weight", app.weight, isTime);
  check(subject, "frames", app.frames, isTime);
  check(subject, "deadlineMs", app.deadlineMs ?? Infinity, (value) => value > 0);
  check(subject, "quantum", app.quantum, (value) => isCount(value) && value > 0);
  check(subject, "maxSteps", app.maxSteps, isCount);
  if (app.levels.length === 0) refuse(subject, "at least one level", "none");
  if (app.level !== undefined && !(Number.isInteger(app.level) && app.level >= 0 && app.level < app.levels.length))
    refuse(`${subject}, level`, `a place below ${app.levels.length}`, app.level);
  for (const [index, level] of app.levels.entries()) {
    const { inferMs, stepMs, makeMs, memoryBytes } = level;
    if (isTime(inferMs) && isTime(stepMs) && isTime(makeMs) && isTime(memoryBytes)) continue;
    refuse(`${subject}, level ${index}`, "times and memory that are numbers of at least 0", JSON.stringify(level));
  }
}

const isTime = (value: number): boolean => Number.isFinite(value) && value >= 0;
const isAmount = (value: number): boolean => value >= 0;
const isCount = (value: number): boolean => Number.isInteger(value) && value >= 0;

function check(subject: string, name: string, value: number, isValid: (value: number) => boolean): void {
  if (!isValid(value)) refuse(`${subject}, ${name}`, "a number that makes sense", value);
}

function refuse(subject: string, expectation: string, value: unknown): never {
  throw new LimberError(
    "config.invalid",
    `plan request, ${subject}: ${expectation}, got ${value}; correct the request`,
  );
}
