import { costOf, makingShareOf, presentScoreOf, scoreOf } from "../objective.js";
import type { Decision } from "../plan.js";
import { type Draft, reservedMs, type Service } from "./service.js";

/**
 * More quanta than these are taken several at a time: a decision does not become slower where an app could train for very long, nor much slower where
 * apps are many, each of which gets little.
 */
const mostQuantaFor = (apps: number): number => (apps <= 8 ? 32 : 10);
/** Gains below it are rounding. */
export const LEAST_GAIN = 1e-12;

/** Which choice an app has come to, and why. */
export interface State {
  readonly place: number;
  readonly worth: number;
  readonly why: readonly Decision[];
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
  private readonly start: State;

  constructor(
    private readonly service: Service,
    readonly draft: Draft,
    private readonly levels: readonly number[],
    isOrdered: boolean,
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
    this.reserved = new Float64Array(size).fill(Infinity);
    this.value = new Float64Array(size);
    this.highest = new Float64Array(levels.length);
    const ceiling = isOrdered ? new Float64Array(this.width).fill(1) : undefined;
    for (let row = levels.length - 1; row >= 0; row--) this.fillRow(row, mostMs, ceiling);
    this.at = levels.indexOf(level) * this.width;
    this.start = this.save();
  }

  private fillRow(row: number, mostMs: number, ceiling: Float64Array | undefined): void {
    const { draft, service, reserved, value, width, quantum } = this;
    const { app, shed } = draft;
    const level = this.levels[row]!;
    const { stepMs } = app.levels[level]!;
    const leastMs = reservedMs(service, draft, level, 0);
    const untrainedMs = costOf(app, level, 0, shed);
    const making = makingShareOf(app, level, service.windowMs);
    const served = app.frames === 0 ? 1 : (app.frames - shed) / app.frames;
    const before = app.weight * served * making * (making === 0 ? 0 : presentScoreOf(app));
    const after = app.weight * served * (1 - making);
    let [area, score, steps, highest] = [0, 0, 0, -Infinity];
    for (let k = 0; k < width; k++) {
      const next = Math.min(k * quantum, app.maxSteps);
      const reserve = Math.max(leastMs, untrainedMs + next * stepMs);
      if (reserve > mostMs) break;
      let reached = scoreOf(app, level, next, score);
      if (ceiling) {
        if (level !== app.level) reached = Math.min(reached, ceiling[k]!);
        ceiling[k] = Math.min(ceiling[k]!, reached);
      }
      area += ((score + reached) / 2) * (next - steps);
      [score, steps] = [reached, next];
      const place = row * width + k;
      reserved[place] = reserve;
      value[place] = before + after * (k === 0 ? score : area / steps);
      highest = Math.max(highest, value[place]);
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
    return this.bytesAt(this.at);
  }

  private stepsAt(place: number): number {
    return Math.min((place % this.width) * this.quantum, this.draft.app.maxSteps);
  }
  private levelAt(place: number): number {
    return this.levels[Math.floor(place / this.width)]!;
  }
  private bytesAt(place: number): number {
    return this.draft.app.levels[this.levelAt(place)]!.memoryBytes;
  }

  /**
   * Finds the choice that brings most per time from here, of those that fit. Any choice may be next, so that a level that pays only with the
   * training after it, or a curve that rises late, is seen: moves follow the upper concave hull of (time, score). `leastWorth`: look only at
   * choices that are worth more.
   */
  findMove(leftMs: number, leftBytes: number, leastWorth = -Infinity): boolean {
    const { reserved, value, width } = this;
    const [fromMs, fromValue] = [reserved[this.at]!, value[this.at]!];
    const least = Math.max(fromValue + LEAST_GAIN, leastWorth);
    const mostBytes = this.memoryBytes + leftBytes;
    [this.move, this.rate] = [-1, 0];
    let gain = 0;
    for (let row = 0; row < this.levels.length; row++) {
      const highest = this.highest[row]!;
      if (highest <= least || this.bytesAt(row * width) > mostBytes) continue;
      for (let place = row * width; place < (row + 1) * width; place++) {
        const ms = reserved[place]! - fromMs;
        // nothing of this level can be better, since its time only rises
        if (ms > leftMs || (ms > 0 && highest - fromValue < this.rate * ms)) break;
        if (value[place]! <= least) continue;
        const rise = value[place]! - fromValue;
        const rate = ms <= 0 ? Infinity : rise / ms;
        if (rate < this.rate || (rate === this.rate && rise <= gain)) continue;
        [this.move, this.rate, gain] = [place, rate, rise];
      }
    }
    return this.move >= 0;
  }

  fits(place: number): boolean {
    const { leftMs, leftBytes } = this.service;
    return this.reserved[place]! - this.reservedMs <= leftMs && this.bytesAt(place) - this.memoryBytes <= leftBytes;
  }

  save(): State {
    return { place: this.at, worth: this.worth, why: [...this.draft.why] };
  }

  restore({ place, why }: State): void {
    this.goTo(place);
    this.draft.why.splice(0, Infinity, ...why);
  }

  reset(): void {
    this.restore(this.start);
  }

  /** Goes to the level that takes the least memory, of those that there is time for. */
  shrink(): void {
    let least = this.at;
    for (let place = 0; place < this.value.length; place += this.width)
      if (this.reserved[place]! < Infinity && this.bytesAt(place) < this.bytesAt(least)) least = place;
    this.take(least);
  }

  /** Takes a choice, and says why. */
  take(place: number): void {
    if (place === this.at) return;
    const { draft } = this;
    const [level, steps] = [this.levelAt(place), this.stepsAt(place)];
    const gain = this.value[place]! - this.value[this.at]!;
    const costMs = this.reserved[place]! - this.reserved[this.at]!;
    const decision = { app: draft.app.name, gain, costMs };
    draft.why.push(
      level === draft.level
        ? { ...decision, action: "train", from: draft.steps, to: steps }
        : { ...decision, action: "retain", from: draft.level, to: level, ...(steps > 0 && { steps }) },
    );
    this.goTo(place);
  }

  private goTo(place: number): void {
    const { draft, service } = this;
    service.leftMs -= this.reserved[place]! - this.reservedMs;
    service.leftBytes -= this.bytesAt(place) - this.memoryBytes;
    [draft.level, draft.steps, this.at] = [this.levelAt(place), this.stepsAt(place), place];
  }

  /**
   * Best choices for two apps together within their time and memory and what is left.
   * Cost: levels² · quanta; along the quanta of two levels one gives what the other takes.
   */
  findExchange(other: Choices): { readonly gain: number; readonly mine: number; readonly its: number } {
    const [ms, bytes] = [
      this.reservedMs + other.reservedMs + this.service.leftMs,
      this.memoryBytes + other.memoryBytes + this.service.leftBytes,
    ];
    const present = this.worth + other.worth;
    const bestOf = other.bestUpTo();
    let found = { gain: 0, mine: this.at, its: other.at };
    for (let a = 0; a < this.value.length; a += this.width) {
      for (let b = 0; b < other.value.length; b += other.width) {
        if (this.bytesAt(a) + other.bytesAt(b) > bytes) continue;
        let its = b + other.width - 1;
        for (let mine = a; mine < a + this.width; mine++) {
          const leftMs = ms - this.reserved[mine]!;
          while (its >= b && other.reserved[its]! > leftMs) its--;
          if (its < b) break;
          const best = bestOf[its]!;
          const gain = this.value[mine]! + other.value[best]! - present;
          if (gain > found.gain + LEAST_GAIN) found = { gain, mine, its: best };
        }
      }
    }
    return found;
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
