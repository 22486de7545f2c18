import type { AppState } from "../app.js";
import type { Plan, Planner, PlanRequest } from "../plan.js";
import { checkRequest } from "./check-request.js";
import { choicesOf } from "./choices.js";
import { grantAll } from "./grant.js";
import { buildPlan, everyLevel, type LevelChoice, serve } from "./service.js";
import { turnsOf } from "./turns.js";

/** What makes a variant of the planner: what it may choose, and what it believes. */
export interface FilterGrainedOptions {
  readonly name?: string | undefined;
  readonly summary?: string | undefined;
  /** Levels that it may choose. Default: all. */
  readonly levelsOf?: ((request: PlanRequest) => LevelChoice) | undefined;
  /**
   * Takes no smaller level for better than a larger one after as many steps, whatever the estimates say: a level that was looked at tells of those
   * below it. The one that serves is as it was seen. Default false.
   */
  readonly isOrdered?: boolean | undefined;
  /** Whether work is done in turns, what brings most per time first; else side by side, by shares. Default true. */
  readonly inTurns?: boolean | undefined;
  /** An app as it sees it. Default: as it is. */
  readonly view?: ((app: AppState) => AppState) | undefined;
}

/**
 * The filter-grained planner: from the least service of all apps it grants, again and again, what raises the weighted score of some app most
 * per time of the device, until nothing that brings anything fits.
 * Cost: an estimate per app, level and quantum; then a pass over one app's choices for each grant.
 * Source: ElasticDNN, Zhang et al., IEEE TC 2024, whose formulas are not public; the greedy selection of its authors' EdgeTA.
 * Differs: gains of training are rises, not levels of score; a grant may go over several levels and quanta at once; exchanges between two apps
 * mend what the last grant that did not fit left over.
 */
export function filterGrained({
  name = "filterGrained",
  summary = "level and training of each app by gain per time",
  levelsOf = () => everyLevel,
  view = (app) => app,
  isOrdered = false,
  inTurns = true,
}: FilterGrainedOptions = {}): Planner {
  const plan = (asked: PlanRequest): Plan => {
    checkRequest(asked);
    const request = { ...asked, apps: asked.apps.map(view) };
    const choice = levelsOf(request);
    const service = serve(request, choice);
    grantAll(choicesOf(service, choice, isOrdered), service);
    return { ...buildPlan(name, request, service), ...(inTurns && { turns: turnsOf(service.drafts) }) };
  };
  return { name, summary, plan };
}
