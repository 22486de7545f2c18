import { findCacheFolder, TUNE_MODES, type TuneSettings, type Tuning } from "../run/node.js";
import type { Flags, FlagValues, Surroundings } from "./command.js";
import { formatCount } from "./format.js";

/** For commands that train. */
export const TUNE_FLAGS = {
  tune: {
    kind: "text",
    choices: TUNE_MODES,
    value: "how",
    default: "off",
    help: "measure how convolutions are best computed here: quick takes about 10 s, full minutes; kept for next time",
  },
} as const satisfies Flags;

/** The same as options of the library; what tuning found is noted. */
export function tuneSettingsOf(
  { tune: mode }: FlagValues<typeof TUNE_FLAGS>,
  { env, note }: Pick<Surroundings, "env" | "note">,
): TuneSettings {
  const onTuned = ({ decisions: { total, known, measured }, changes, saved, seconds }: Tuning): void => {
    const found = `${formatCount(measured)} measured in ${seconds.toFixed(1)} s, ${formatCount(known)} known, of ${formatCount(total)}`;
    note(`tuned: ${found}; ${formatCount(changes.length)} differ from the built-in rules`);
    if (!saved) note("warning: the measurements could not be kept; next time they are taken again");
  };
  return { mode, folder: findCacheFolder(env), onTuned };
}
