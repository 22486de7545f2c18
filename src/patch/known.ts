import { isLimberError, type Tensor } from "../base/index.js";
import { findPatches } from "../graph/index.js";
import { applyPatch, hashParent, loadPatch, readPatch, writePatch } from "./files.js";
import type { DomainStatistics, PatchLibrary } from "./library.js";
import type { Member } from "./member.js";
import type { StartCandidate } from "./warm.js";

/** Distance of pictures below which a domain is one that was seen before. Units: deviations of a pixel. */
const WITHIN = 0.1;

/** A domain that a model was patched for before. */
export interface Known {
  /** All weights as they served there, statistics of normalization included. */
  readonly candidate: StartCandidate;
  /** How good it was there. */
  readonly score: number;
}

/** The past patch of this model whose pictures looked as these do; one that cannot be read is forgotten. */
export async function findKnown(
  library: PatchLibrary,
  member: Member,
  looks: DomainStatistics,
): Promise<Known | undefined> {
  const found = library.findNearest({ parent: hashParent(member.source), statistics: looks }, WITHIN);
  if (!found) return undefined;
  const { entry, distance } = found;
  try {
    const file = entry.patch instanceof Uint8Array ? readPatch(entry.patch) : await loadPatch(entry.patch.file);
    const tensors: ReadonlyMap<string, Tensor> = applyPatch(member.source, file).graph.initializers;
    const similarity = 1 - distance / WITHIN;
    return { candidate: { source: "library", from: entry.domain, similarity, tensors }, score: entry.score ?? 0 };
  } catch (error) {
    if (!isLimberError(error)) throw error;
    library.remove(entry);
    return undefined;
  }
}

/** Keeps what serves a member now for the next time that pictures look as these do. */
export function remember(
  library: PatchLibrary,
  { source, serving }: Member,
  { domain, looks, score }: { readonly domain: string; readonly looks: DomainStatistics; readonly score: number },
): void {
  if (findPatches(serving).length === 0) return;
  const patch = writePatch(serving, { parent: source, domain, metrics: { score } });
  library.add({ parent: hashParent(source), domain, statistics: looks, patch, score });
}
