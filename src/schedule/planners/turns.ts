import { costOf, presentScoreOf, scoreOf } from "../objective.js";
import type { Turn } from "../plan.js";
import type { Draft } from "./service.js";

/** Steps of an app by the end of its turns, in quanta: 1, 4, 16, … Most of what training brings comes with the first steps, and each turn ends with a swap. */
const GROWTH = 4;

/** A turn of one app, before it has its place among those of the others. */
interface Piece {
  readonly steps: number;
  readonly rise: number;
  /** With what predictions of another level cost more than those of the one that serves. */
  readonly costMs: number;
}

/**
 * The order in which a plan is carried out: what brings most per time first, an app's making and first steps before its later ones. Each turn
 * serves from its end on, so that the sum of scores over the window is larger than when all work goes on side by side until the end.
 * Source: weighted shortest processing time first, W. E. Smith, Naval Research Logistics Quarterly 3 (1956), which is optimal for jobs whose
 * value counts from when they are done; pieces of falling rate keep their order under it.
 */
export function turnsOf(drafts: readonly Draft[]): readonly Turn[] {
  return drafts
    .flatMap((draft) =>
      piecesOf(draft).map((piece) => ({
        turn: { app: draft.app.name, steps: piece.steps },
        rate: draft.app.weight * rateOf(piece),
      })),
    )
    .sort((a, b) => b.rate - a.rate)
    .map(({ turn }) => turn);
}

function piecesOf({ app, level, steps, shed, isRefused }: Draft): readonly Piece[] {
  if (isRefused || (steps === 0 && level === app.level)) return [];
  const present = presentScoreOf(app);
  const presentMs = (app.frames - shed) * app.levels[app.level ?? level]!.inferMs;
  const pieces: Piece[] = [];
  let [at, rise, costMs] = [0, 0, 0];
  for (let end = app.quantum; pieces.length === 0 || at < steps; end *= GROWTH) {
    const next = Math.min(end, steps);
    const [risen, spentMs] = [scoreOf(app, level, next) - present, costOf(app, level, next, shed) - presentMs];
    joinTo(pieces, { steps: next - at, rise: risen - rise, costMs: spentMs - costMs });
    [at, rise, costMs] = [next, risen, spentMs];
  }
  return pieces;
}

/** A smaller model may free more time than it takes to make. */
const rateOf = ({ rise, costMs }: Piece): number => (costMs > 0 ? rise / costMs : Number.MAX_VALUE);

/** Rates fall from piece to piece: one that would bring more than that before it is one with it. */
function joinTo(pieces: Piece[], next: Piece): void {
  const last = pieces.at(-1);
  if (!last || rateOf(next) < rateOf(last)) {
    pieces.push(next);
    return;
  }
  pieces.pop();
  joinTo(pieces, {
    ...{ steps: last.steps + next.steps, rise: last.rise + next.rise, costMs: last.costMs + next.costMs },
  });
}
