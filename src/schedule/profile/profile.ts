import { z } from "zod";
import { LimberError } from "../../base/index.js";
import { findMachineKey, type MachineKey } from "../../run/node.js";
import type { Level } from "../app.js";
import { interpolateLevels, type LadderOptions } from "./ladder.js";

/** What times depend on besides the level. */
export interface ProfileSetting {
  readonly threads: number;
  /** Pictures of one prediction and of one step. */
  readonly batchSize: number;
}

/** What levels cost at one setting, some of them measured; `inferMs` is of one picture. */
export interface ProfileRow extends ProfileSetting {
  readonly levels: readonly Level[];
}

/** A processor and the software on it. */
export type ProfiledMachine = Omit<MachineKey, "threads">;

/** What an app costs on a machine. Plain data. */
export interface AppProfile {
  readonly version: 1;
  readonly app: string;
  readonly machine: ProfiledMachine;
  readonly rows: readonly ProfileRow[];
}

const milliseconds = z.number().nonnegative();
const level = z.object({
  name: z.string(),
  sparsity: z.number().min(0).lt(1).optional(),
  size: z.int().nonnegative(),
  inferMs: milliseconds,
  stepMs: milliseconds,
  makeMs: milliseconds,
  memoryBytes: z.number().nonnegative(),
});

export const profileSchema: z.ZodType<AppProfile> = z.object({
  version: z.literal(1),
  app: z.string(),
  machine: z.object({
    processor: z.string(),
    processors: z.int(),
    provider: z.string(),
    runtime: z.string(),
    limber: z.string(),
  }),
  rows: z.array(
    z.object({ threads: z.int().positive(), batchSize: z.int().positive(), levels: z.array(level).min(1) }),
  ),
});

/** This machine, for a provider. */
export function findProfiledMachine(provider = "cpu"): ProfiledMachine {
  const { processor, processors, runtime, limber } = findMachineKey(provider, 1);
  return { processor, processors, provider, runtime, limber };
}

/** What levels cost at a setting, with those between the measured ones where a quantum says so. Throws: `config.invalid` for another setting. */
export function levelsOfProfile(
  profile: AppProfile,
  setting: ProfileSetting,
  options?: LadderOptions,
): readonly Level[] {
  const { threads, batchSize } = setting;
  const row = profile.rows.find((each) => each.threads === threads && each.batchSize === batchSize);
  if (row) return options ? interpolateLevels(row.levels, options) : row.levels;
  const known = profile.rows.map((each) => `${each.threads} with ${each.batchSize}`).join(", ");
  const message = `profile of "${profile.app}": threads and batch size of ${known}, got ${threads} with ${batchSize}; profile that too`;
  throw new LimberError("config.invalid", message, { threads, batchSize });
}
