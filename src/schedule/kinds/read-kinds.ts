import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { LimberError, type LongCall } from "../../base/index.js";
import { fileError, readModelFile } from "../../run/node.js";
import {
  type CorruptionName,
  corruptionNames,
  readDataset,
  resolvePreprocessing,
  SEVERITIES,
  nameShift,
  parseDrift,
  parseShift,
  type Shift,
  shiftDomain,
} from "../../vision/index.js";
import { Album, firstSamples } from "./album.js";
import type { AppKind, KindSet } from "./app-kind.js";
import { checkKindSet, type DescribedKind } from "./kind-schema.js";
import { openModelApp } from "./open-kind.js";

export interface ReadKindsOptions extends Pick<LongCall, "signal"> {
  /** Gets warnings. */
  readonly note?: ((line: string) => void) | undefined;
}

/**
 * Kinds of apps of one's own: a JSON file that names models, data sets and drifts.
 * Throws: `config.invalid`, `io.not-found`, `data.invalid` for too few pictures or none with labels, `method.unsuitable` for a model without a task, what readers of
 * models and data sets throw.
 */
export async function readKinds(path: string, options: ReadKindsOptions = {}): Promise<KindSet> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw fileError(`apps "${path}"`, cause);
  });
  const { world, kinds } = checkKindSet(parseFile(path, text), path);
  const opened: AppKind[] = [];
  for (const each of kinds) opened.push(await openKind(each, dirname(resolve(path)), options));
  return { world, kinds: opened };
}

function parseFile(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LimberError("config.invalid", `apps "${path}": JSON, got other text; correct it`, { path }, { cause });
  }
}

async function openKind(
  described: DescribedKind,
  folder: string,
  { signal, note }: ReadKindsOptions,
): Promise<AppKind> {
  const { name, drifts, camera, batchSize, recording, data, record, domainsBy, classes, format, layout } = described;
  const modelPath = resolve(folder, described.model);
  const model = await readModelFile(modelPath);
  const { preprocessing, warnings } = await resolvePreprocessing({
    ...{ flags: described.preprocessing, modelPath, metadata: model.metadata },
    inputShape: model.graph.inputs[0]?.dims ?? ["", "", "", ""],
  });
  for (const warning of warnings) note?.(`${name}: ${warning}`);
  const { task } = openModelApp(name, model, { preprocessing });
  const dataset = await readDataset(resolve(folder, data), {
    ...{ record, domainsBy, classes, format, layout, signal },
  });
  const album = new Album(dataset, described.source);
  const isLabelled = task === "classification" ? dataset.classes.length > 0 : album.source.truth !== undefined;
  checkPictures(described, album, isLabelled);
  const validation = validationOf(described);
  const source = album.source.name;
  return {
    ...{ name, source, drifts, camera, batchSize, recording },
    open: ({ sparsities = described.sparsities, threads } = {}) =>
      Promise.resolve(openModelApp(name, model, { preprocessing, sparsities, threads })),
    sourcePictures: (count) => firstSamples(album.own, count),
    pictures: (drift, choice) => album.pictures(drift, choice),
    recordedDrifts: (count) => [
      ...validation.map((shift) => ({
        ...{ name: nameShift(shift), isValidation: true },
        domain: shiftDomain(firstSamples(album.own, count), shift),
      })),
      ...drifts.map((drift) => ({
        ...{ name: drift, isValidation: false, domain: firstSamples(album.meet(drift, 0), count) },
      })),
    ],
  };
}

/** What estimates are fitted on: no corruption of it is one that cameras show. Throws: `config.invalid`. */
function validationOf({ name, drifts, validation }: DescribedKind): readonly Shift[] {
  const shown = new Set(drifts.flatMap((drift) => parseDrift(drift).shift.map(([corruption]) => corruption)));
  const shifts: readonly Shift[] =
    validation?.map(parseShift) ??
    corruptionNames("reported")
      .filter((corruption) => !shown.has(corruption))
      .map((corruption: CorruptionName, i) => [[corruption, SEVERITIES[(2 * i + 2) % SEVERITIES.length]!]]);
  const both = shifts.flat().find(([corruption]) => shown.has(corruption));
  if (!both && shifts.length > 0) return shifts;
  const message = `apps: validation of "${name}": corruptions that no drift has, got ${both?.[0] ?? "none"}; estimates are judged on what they were not fitted on`;
  throw new LimberError("config.invalid", message, { kind: name });
}

/** Each part has to fill batches, and to be labelled. Throws: `config.invalid` for a drift that there is not, `data.invalid`. */
function checkPictures({ name, drifts, batchSize, camera }: DescribedKind, album: Album, isLabelled: boolean): void {
  const parts = [
    ["source", album.own.samples, 2 * batchSize],
    ...drifts.map((drift) => {
      const half = Math.floor(album.meet(drift, 0).samples / 2);
      return [drift, half, Math.max(batchSize, camera.pictures)] as const;
    }),
  ] as const;
  const short = parts.find(([, samples, least]) => samples < least);
  if (!short && isLabelled) return;
  const got = short ? `${short[1]} of ${short[2]} in a part of "${short[0]}"` : "pictures without labels";
  const message = `apps: "${name}": labelled pictures that fill batches, got ${got}; give more, or a smaller batchSize`;
  throw new LimberError("data.invalid", message, { kind: name });
}
