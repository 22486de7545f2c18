import { isTrainable } from "../app.js";
import { costOf, makingShareOf, presentScoreOf, scoreOf } from "../objective.js";
import { NumberPool } from "./number-pool.js";
import { type Draft, type LevelChoice, reservedMs, type Service } from "./service.js";

/**
 * More quanta than these are taken several at a time: a decision does not become slower where an app could train for very long, nor much slower where
 * apps are many, each of which gets little.
 */
const mostQuantaFor = (apps: number): number => (apps <= 8 ? 32 : 10);
/** Gains below it are rounding. */
export const LEAST_GAIN = 1e-12;

/** Which choice an app has come to. */
export interface State {
  /** All that it took on the way, the present one last. */
  readonly path: readonly number[];
  readonly worth: number;
}

/** What each app that is served could be. */
export function choicesOf(service: Service, levelsOf: LevelChoice, isOrdered: boolean): readonly Choices[] {
  const pool = new NumberPool();
  const ceiling = isOrdered ? new Float64Array(mostQuantaFor(service.drafts.length) + 1) : undefined;
  return service.drafts.flatMap((draft, index) => {
    if (draft.isRefused) return [];
    const levels = levelsOf(draft.app, index);
    return [new Choices(service, draft, levels.includes(draft.level) ? levels : [draft.level], pool, ceiling?.fill(1))];
  });
}

/**
 * Everything that one app could be in the window, level by number of quanta: the time to reserve for it, and the weighted mean score.
 * Cost: an estimate for each.
 */
export class Choices {
  /** Choices per level. */
  readonly width: number;
  /** Best move found last: a place in the tables, or -1. */
  move = -1;
  /** What it brings per time. */
  rate = 0;
  private readonly quantum: number;
  private readonly reserved: Float64Array;
  private readonly value: Float64Array;
  /** Highest value of each level. */
  private readonly highest: Float64Array;
  /** Of each level, up to each number of quanta: the place of the best. */
  private best: Int32Array | undefined;
  private at: number;
  private path: number[];

  constructor(
    private readonly service: Service,
    readonly draft: Draft,
    private readonly levels: readonly number[],
    pool: NumberPool,
    ceiling: Float64Array | undefined,
  ) {
    const { app, level } = draft;
    const mostMs = reservedMs(service, draft) + service.leftMs;
    const cheapestMs = levels.reduce((least, l) => Math.min(least, app.levels[l]!.stepMs), Infinity);
    const affordable = mostMs > 0 ? mostMs / cheapestMs : 0;
    const quanta = Math.min(app.maxSteps, affordable) / app.quantum;
    const mostQuanta = mostQuantaFor(service.drafts.length);
    this.quantum = app.quantum * Math.max(1, Math.ceil(quanta / mostQuanta));
    this.width = Math.min(Math.ceil(app.maxSteps / this.quantum), mostQuanta) + 1;
    const size = levels.length * this.width;
    this.reserved = pool.take(size);
    this.value = pool.take(size);
    this.highest = pool.take(levels.length);
    for (let row = levels.length - 1; row >= 0; row--) this.fillRow(row, mostMs, ceiling);
    this.at = levels.indexOf(level) * this.width;
    this.path = [this.at];
  }

  private fillRow(row: number, mostMs: number, ceiling: Float64Array | undefined): void {
    const { draft, service, reserved, value, width, quantum } = this;
    const { app, shed } = draft;
    const level = this.levels[row]!;
    const { stepMs, size: own } = app.levels[level]!;
    const leastMs = reservedMs(service, draft, level, 0);
    const untrainedMs = costOf(app, level, 0, shed);
    const making = makingShareOf(app, level, service.windowMs);
    const served = app.frames === 0 ? 1 : (app.frames - shed) / app.frames;
    const before = app.weight * served * making * (making === 0 ? 0 : presentScoreOf(app));
    const after = app.weight * served * (1 - making);
    const start = row * width;
    let area = 0;
    let score = 0;
    let steps = 0;
    let highest = -Infinity;
    for (let k = 0; k < width; k++) {
      const next = Math.min(k * quantum, app.maxSteps);
      const reserve = Math.max(leastMs, untrainedMs + next * stepMs);
      if (reserve > mostMs || (k > 0 && !isTrainable(own))) {
        reserved.fill(Infinity, start + k, start + width);
        break;
      }
      let reached = scoreOf(app, level, next, score);
      if (ceiling) {
        if (level !== app.level) reached = Math.min(reached, ceiling[k]!);
        ceiling[k] = Math.min(ceiling[k]!, reached);
      }
      area += ((score + reached) / 2) * (next - steps);
      score = reached;
      steps = next;
      const worth = before + after * (k === 0 ? score : area / steps);
      reserved[start + k] = reserve;
      value[start + k] = worth;
      highest = Math.max(highest, worth);
    }
    this.highest[row] = highest;
  }

  /** Weighted mean score. */
  get worth(): number {
    return this.value[this.at]!;
  }
  get reservedMs(): number {
    return this.reserved[this.at]!;
  }
  get memoryBytes(): number {
    return this.bytesOf(this.rowOf(this.at));
  }

  private stepsAt(place: number): number {
    return Math.min((place % this.width) * this.quantum, this.draft.app.maxSteps);
  }
  private rowOf(place: number): number {
    return Math.floor(place / this.width);
  }
  private levelAt(place: number): number {
    return this.levels[this.rowOf(place)]!;
  }
  private bytesOf(row: number): number {
    return this.draft.app.levels[this.levels[row]!]!.memoryBytes;
  }

  /**
   * Finds the choice that brings most per time from here, of those that fit. Any choice may be next, so that a level that pays only with the
   * training after it, or a curve that rises late, is seen: moves follow the upper concave hull of (time, score). `leastWorth`: look only at
   * choices that are worth more.
   */
  findMove(leftMs: number, leftBytes: number, leastWorth = -Infinity): boolean {
    const { reserved, value, width } = this;
    const fromMs = reserved[this.at]!;
    const fromValue = value[this.at]!;
    const least = Math.max(fromValue + LEAST_GAIN, leastWorth);
    const mostBytes = this.memoryBytes + leftBytes;
    let [move, bestRate, gain] = [-1, 0, 0];
    for (let row = 0; row < this.levels.length; row++) {
      const highest = this.highest[row]!;
      if (highest <= least || this.bytesOf(row) > mostBytes) continue;
      for (let place = row * width; place < (row + 1) * width; place++) {
        const ms = reserved[place]! - fromMs;
        // nothing of this level can be better, since its time only rises
        if (ms > leftMs || (ms > 0 && highest - fromValue < bestRate * ms)) break;
        if (value[place]! <= least) continue;
        const rise = value[place]! - fromValue;
        const rate = ms <= 0 ? Infinity : rise / ms;
        if (rate < bestRate || (rate === bestRate && rise <= gain)) continue;
        move = place;
        bestRate = rate;
        gain = rise;
      }
    }
    this.move = move;
    this.rate = bestRate;
    return move >= 0;
  }

  fits(place: number): boolean {
    const { leftMs, leftBytes } = this.service;
    return (
      this.reserved[place]! - this.reservedMs <= leftMs &&
      this.bytesOf(this.rowOf(place)) - this.memoryBytes <= leftBytes
    );
  }

  save(): State {
    return { path: [...this.path], worth: this.worth };
  }

  restore({ path }: State): void {
    this.goTo(path.at(-1)!);
    this.path = [...path];
  }

  reset(): void {
    this.goTo(this.path[0]!);
    this.path.length = 1;
  }

  /** Goes to the level that takes the least memory, of those that there is time for. */
  shrink(): void {
    let least = this.rowOf(this.at);
    for (let row = 0; row < this.levels.length; row++)
      if (this.reserved[row * this.width]! < Infinity && this.bytesOf(row) < this.bytesOf(least)) least = row;
    if (least !== this.rowOf(this.at)) this.take(least * this.width);
  }

  take(place: number): void {
    if (place === this.at) return;
    this.goTo(place);
    this.path.push(place);
  }

  private goTo(place: number): void {
    const { service } = this;
    service.leftMs -= this.reserved[place]! - this.reservedMs;
    service.leftBytes -= this.bytesOf(this.rowOf(place)) - this.memoryBytes;
    this.at = place;
  }

  /** Writes what was come to into the draft, and what decided. */
  settle(): void {
    const { draft, path, reserved, value } = this;
    const app = draft.app.name;
    for (let turn = 1; turn < path.length; turn++) {
      const [before, place] = [path[turn - 1]!, path[turn]!];
      const [from, level, steps] = [this.levelAt(before), this.levelAt(place), this.stepsAt(place)];
      const [gain, costMs] = [value[place]! - value[before]!, reserved[place]! - reserved[before]!];
      if (level === from) draft.why.push({ app, gain, costMs, action: "train", from: this.stepsAt(before), to: steps });
      else if (steps === 0) draft.why.push({ app, gain, costMs, action: "retain", from, to: level });
      else draft.why.push({ app, gain, costMs, action: "retain", from, to: level, steps });
    }
    [draft.level, draft.steps] = [this.levelAt(this.at), this.stepsAt(this.at)];
  }

  /**
   * Best choices for two apps together within their time and memory and what is left; nothing where they bring no more than `leastGain`.
   * Cost: levels² · quanta at most; along the quanta of two levels one gives what the other takes.
   */
  findExchange(other: Choices, leastGain: number): Exchange | undefined {
    const [ms, bytes] = [
      this.reservedMs + other.reservedMs + this.service.leftMs,
      this.memoryBytes + other.memoryBytes + this.service.leftBytes,
    ];
    const present = this.worth + other.worth;
    if (this.most + other.most - present <= leastGain) return undefined;
    const bestOf = other.bestUpTo();
    let found: Exchange | undefined;
    let least = leastGain;
    for (let row = 0; row < this.levels.length; row++) {
      const a = row * this.width;
      for (let otherRow = 0; otherRow < other.levels.length; otherRow++) {
        const b = otherRow * other.width;
        // no pair of these levels brings more, has the time or the memory
        if (this.highest[row]! + other.highest[otherRow]! - present <= least) continue;
        if (other.reserved[b]! > ms - this.reserved[a]!) continue;
        if (this.bytesOf(row) + other.bytesOf(otherRow) > bytes) continue;
        let its = b + other.width - 1;
        for (let mine = a; mine < a + this.width; mine++) {
          const leftMs = ms - this.reserved[mine]!;
          while (its >= b && other.reserved[its]! > leftMs) its--;
          if (its < b) break;
          const best = bestOf[its]!;
          const gain = this.value[mine]! + other.value[best]! - present;
          if (gain <= least) continue;
          found = { gain, one: this, mine, two: other, its: best };
          least = gain + LEAST_GAIN;
        }
      }
    }
    return found;
  }

  /** Highest value of all. */
  private get most(): number {
    return this.highest.reduce((most, value) => Math.max(most, value), -Infinity);
  }

  private bestUpTo(): Int32Array {
    if (this.best) return this.best;
    this.best = new Int32Array(this.value.length);
    for (let place = 0; place < this.value.length; place++) {
      const before = place % this.width === 0 ? place : this.best[place - 1]!;
      this.best[place] = this.value[place]! > this.value[before]! ? place : before;
    }
    return this.best;
  }
}

/** What two apps take instead of what they have. */
export interface Exchange {
  readonly gain: number;
  readonly one: Choices;
  readonly mine: number;
  readonly two: Choices;
  readonly its: number;
}
