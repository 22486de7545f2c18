import { LimberError, type LongCall, median, throwIfAborted } from "../../base/index.js";
import { findCacheFolder, type RunTensor } from "../../run/node.js";
import type { Level } from "../app.js";
import type { RunningApp } from "../running-app.js";
import { readProfile, writeProfile } from "./cache.js";
import { type AppProfile, findProfiledMachine, type ProfileRow, type ProfileSetting } from "./profile.js";

export interface ProfileOptions extends LongCall {
  /** What tells this app's profile from others': its model and levels. */
  readonly app: string;
  /** To predict and to train on, as many as the largest batch at least. Shapes: [N, C, H, W]. */
  readonly pictures: RunTensor;
  readonly settings: readonly ProfileSetting[];
  /** Places of the levels to measure, from small to large. Default: five spread over all. */
  readonly levels?: readonly number[] | undefined;
  /** Of each, after one to warm up; the median counts. Default 5, and 5 at least. */
  readonly runs?: number | undefined;
  /** Default "cpu". */
  readonly provider?: string | undefined;
  /** Where profiles lie. Default: the user's cache folder. */
  readonly folder?: string | undefined;
  /** Measure again what is stored, because times drifted from it. */
  readonly isFresh?: boolean | undefined;
  /** Units: milliseconds. */
  readonly now?: (() => number) | undefined;
}

/**
 * What an app costs on this machine: prediction, step and making by level, batch and threads; memory as the app states it. Measured once and
 * stored; what is stored for all these settings is taken as it is. Cost: about levels · (2 · runs) · (step + making), seconds for small models.
 * Throws: `config.invalid` for pictures, levels or settings that cannot be measured, `aborted`, what the app throws.
 */
export async function profileApp(
  createApp: (setting: ProfileSetting) => Promise<RunningApp>,
  options: ProfileOptions,
): Promise<AppProfile> {
  const { app, settings, provider, folder = findCacheFolder(), isFresh = false, onProgress } = options;
  checkOptions(options);
  const machine = findProfiledMachine(provider);
  const stored = isFresh ? undefined : await readProfile(folder, app, machine);
  const known = stored?.rows ?? [];
  const missing = settings.filter((setting) => !known.some((row) => isSame(row, setting)));
  if (stored && missing.length === 0) return stored;
  const rows: ProfileRow[] = [];
  for (const [i, setting] of missing.entries()) {
    await using running = await createApp(setting);
    const onLevel = (done: number, total: number, name: string): void =>
      onProgress?.({
        stage: "profile",
        done: i * total + done,
        total: missing.length * total,
        note: `${app}, ${name}, batch ${setting.batchSize}, ${setting.threads} threads`,
      });
    rows.push({ ...setting, levels: await measureLevels(running, setting, options, onLevel) });
  }
  const profile: AppProfile = { version: 1, app, machine, rows: [...known, ...rows] };
  await writeProfile(folder, profile);
  return profile;
}

async function measureLevels(
  running: RunningApp,
  { batchSize }: ProfileSetting,
  {
    pictures,
    levels = spread(running.levels.length),
    runs = 5,
    now = performance.now.bind(performance),
    signal,
  }: ProfileOptions,
  onLevel: (done: number, total: number, name: string) => void,
): Promise<Level[]> {
  running.observe(pictures);
  const batch = firstOf(pictures, batchSize);
  const medianMs = async (work: () => Promise<unknown>): Promise<number> => {
    const times: number[] = [];
    for (let run = 0; run <= Math.max(5, runs); run++) {
      throwIfAborted(signal);
      const start = now();
      await work();
      times.push(now() - start);
    }
    return median(times.slice(1));
  };
  const found: Level[] = [];
  for (const [i, place] of levels.entries()) {
    const level = running.levels[place];
    if (!level) {
      const message = `profile: levels from 0 to ${running.levels.length - 1}, got ${place}; choose some of the app's`;
      throw new LimberError("config.invalid", message, { place });
    }
    onLevel(i, levels.length, level.name);
    const makeMs = await medianMs(async () => {
      await running.remodel(place);
      await running.swap();
    });
    const inferMs = (await medianMs(() => running.predict(batch))) / batchSize;
    const stepMs = await medianMs(() => running.step());
    found.push({ ...level, inferMs, stepMs, makeMs });
  }
  onLevel(levels.length, levels.length, "done");
  return found;
}

/** At most five places from the first to the last. */
function spread(count: number): number[] {
  const measured = Math.min(5, count);
  return Array.from({ length: measured }, (_, i) => Math.round((i * (count - 1)) / Math.max(1, measured - 1)));
}

const isSame = (a: ProfileSetting, b: ProfileSetting): boolean =>
  a.threads === b.threads && a.batchSize === b.batchSize;

function firstOf({ dtype, dims, data }: RunTensor, count: number): RunTensor {
  return { dtype, dims: dims.with(0, count), data: data.slice(0, (data.length / dims[0]!) * count) };
}

function checkOptions({ pictures, settings }: ProfileOptions): void {
  const largest = Math.max(0, ...settings.map(({ batchSize }) => batchSize));
  const isWhole = (value: number): boolean => Number.isInteger(value) && value > 0;
  if (settings.length === 0 || settings.some((each) => !isWhole(each.threads) || !isWhole(each.batchSize))) {
    const message = `profile: settings of threads and batch sizes above 0, got ${JSON.stringify(settings)}; give one at least`;
    throw new LimberError("config.invalid", message, { settings });
  }
  if (pictures.dims[0]! >= largest) return;
  const message = `profile: ${largest} pictures for the largest batch, got ${pictures.dims[0]}; give more`;
  throw new LimberError("config.invalid", message, { expected: largest, got: pictures.dims[0] });
}
