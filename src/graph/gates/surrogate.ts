import { LimberError, Random, type Tensor, toNumbers } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import {
  type Binding,
  CHANNEL_SCORES,
  type ChannelScore,
  type ChannelSelection,
  gatherAlong,
  inferShapes,
  parametersOf,
  pruneAnalyzed,
  type PruneRecord,
} from "../passes/index.js";
import { boostsOf, insertBoosts } from "./boosts.js";
import type { Choice, Filters, Surrogate } from "./choice.js";
import { gatesOf, removeGates } from "./gates.js";
import { reorderFilters } from "./reorder.js";
import { findGateSites, type GateSites } from "./sites.js";
import { selectStatistics } from "./statistics.js";

/** The master without gates and with the statistics of one sparsity: where surrogates are cut from. */
export const openMaster = (master: Model, sparsity: number): Model => removeGates(selectStatistics(master, sparsity));

/**
 * Cuts surrogates from masters of one architecture, whatever their weights. The channels are analysed once; a choice that
 * was cut before costs only the copying of weights.
 */
export class SurrogateCutter {
  private readonly found: GateSites;
  private readonly cuts = new Map<string, Omit<Surrogate, "choice">>();
  private readonly ranks: ReadonlyMap<string, number>;

  /** Choices that are remembered; beyond that the oldest is forgotten. */
  private static readonly REMEMBERED = 32;

  /** Throws: `method.unsuitable` for a model without gates. */
  constructor(
    master: Model,
    private readonly binding: Binding = {},
  ) {
    const { gates } = gatesOf(master);
    if (gates.length === 0)
      throw new LimberError(
        "method.unsuitable",
        "master: a model with gates, got one without; limber master build makes one",
      );
    const found = findGateSites(openMaster(master, 0), binding);
    const groups = new Set(gates.map(({ group }) => group));
    this.found = { ...found, sites: found.sites.filter(({ group }) => groups.has(group)) };
    if (this.found.sites.length !== gates.length) {
      const message = `master: ${gates.length} gates where channels can be cut, got ${this.found.sites.length}; build the master again`;
      throw new LimberError("model.malformed", message);
    }
    const { graph } = inferShapes(found.analysis.model, { batch: 1, ...binding });
    this.ranks = new Map(found.sites.map(({ group, value }) => [group, graph.types.get(value)!.dims!.length]));
  }

  /** The gates by group, with how many channels each has. */
  get sizes(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.found.sites.map(({ group, size }) => [group, size]));
  }

  /** The filters of the whole master. */
  get filters(): readonly Filters[] {
    return this.found.sites.map(({ group, size, makes }) => ({ group, size, members: makes }));
  }

  /** Scores of a master's channels that need no images, by group. */
  scoresBy(master: Model, by: ChannelScore, seed = 0): Readonly<Record<string, readonly number[]>> {
    const parameters = new Map(parametersOf(openMaster(master, 0)).map((parameter) => [parameter.name, parameter]));
    const groups = new Map(this.found.analysis.groups.map((group) => [group.id, group]));
    const scores = this.found.sites.map(({ group: id, size }) => {
      const random = new Random(seed).fork(id);
      const found = CHANNEL_SCORES[by]({ group: groups.get(id)!, parameters, random });
      return [id, found ?? Array<number>(size).fill(0)] as const;
    });
    return Object.fromEntries(scores);
  }

  /** Whether a choice was cut before. */
  knows({ kept }: Choice): boolean {
    return this.cuts.has(keyOf(kept));
  }

  /** The surrogate of a master: what is chosen, at the statistics of its sparsity. Throws: `config.invalid`. */
  cut(master: Model, choice: Choice): Surrogate {
    const weights = openMaster(master, choice.sparsity).graph.initializers;
    const key = keyOf(choice.kept);
    const known = this.cuts.get(key);
    const { model, record, filters } = known ? renew(known, weights) : this.cutNew(weights, choice.kept);
    this.cuts.delete(key);
    this.cuts.set(key, { model, record, filters });
    if (this.cuts.size > SurrogateCutter.REMEMBERED) this.cuts.delete(this.cuts.keys().next().value!);
    const places = this.found.sites.flatMap(({ group, value, axis }) => {
      const factors = choice.boosts?.[group];
      return factors?.some((factor) => factor !== 1)
        ? [{ group, value, axis, rank: this.ranks.get(group)!, factors }]
        : [];
    });
    return { model: places.length > 0 ? insertBoosts(model, places) : model, choice, record, filters };
  }

  /** The surrogate with the filters of each group in another order, named by their places now; what it computes stays. */
  reorder(surrogate: Surrogate, order: Readonly<Record<string, readonly number[]>>): Surrogate {
    return reorderFilters(surrogate, this.found.analysis.groups, order);
  }

  private cutNew(weights: ReadonlyMap<string, Tensor>, kept: ChannelSelection): Omit<Surrogate, "choice"> {
    const { analysis, sites } = this.found;
    const current = refresh(analysis.model, weights);
    const { model, record } = pruneAnalyzed({ ...analysis, model: current }, kept, this.binding);
    const filters = sites.map(({ group, makes, size }): Filters => {
      const units = kept[group] ?? Array.from({ length: size }, (_, i) => i);
      const members = makes.map((member) => {
        const places = record.weights[member.initializer]?.axes[member.axis];
        const placeOf = new Map(places?.map((place, i) => [place, i]));
        return { ...member, indices: units.map((unit) => member.indices[unit]!.map((i) => placeOf.get(i) ?? i)) };
      });
      return { group, size: units.length, members };
    });
    return { model, record, filters };
  }
}

const keyOf = (kept: ChannelSelection): string =>
  Object.entries(kept)
    .map(([group, units]) => `${group}=${units.join()}`)
    .sort()
    .join(";");

/** The model with weights of the same names from elsewhere. */
function refresh(model: Model, weights: ReadonlyMap<string, Tensor>): Model {
  const initializers = new Map(
    [...model.graph.initializers].map(([name, value]) => [name, weights.get(name) ?? value]),
  );
  return { ...model, graph: { ...model.graph, initializers } };
}

/** The same cut with other weights. */
function renew(known: Omit<Surrogate, "choice">, weights: ReadonlyMap<string, Tensor>): Omit<Surrogate, "choice"> {
  const current = new Map(
    [...known.model.graph.initializers].map(([name, value]) => [
      name,
      cutWeight(name, weights.get(name), known.record) ?? value,
    ]),
  );
  return { ...known, model: { ...known.model, graph: { ...known.model.graph, initializers: current } } };
}

const cutWeight = (name: string, whole: Tensor | undefined, { weights }: PruneRecord): Tensor | undefined =>
  whole &&
  Object.entries(weights[name]?.axes ?? {}).reduce(
    (part, [axis, kept]) => gatherAlong(part, Number(axis), kept),
    whole,
  );

/** The factors of a surrogate's filters by group, as its model has them now. */
export const boostValues = ({ model }: Surrogate): Readonly<Record<string, readonly number[]>> =>
  Object.fromEntries(
    boostsOf(model).map(({ group, factors }) => [group, toNumbers(model.graph.initializers.get(factors)!)]),
  );
