import { costOf, windowScore } from "../objective.js";
import { type Choices, type Exchange, LEAST_GAIN } from "./choices.js";
import { MoveHeap } from "./move-heap.js";
import { type Draft, reservedMs, type Service } from "./service.js";

/** Beyond so many apps, a move that did not fit is a small part of what was granted. */
const MENDED_APPS = 64;
/** Apps whose move did not fit that are looked at, those with the most to gain per time. */
const BLOCKED = 4;
const TURNS = 8;

/** Gives what is left of the device to the apps. */
export function grantAll(choices: readonly Choices[], service: Service): void {
  grant(choices, service);
  if (choices.length <= MENDED_APPS) {
    startOtherwise(choices, service);
    exchange(choices);
  }
  for (const choice of choices) choice.settle();
  fill(choices, service);
}

/** Greedy: the best move of all apps, as long as one fits. What is left only shrinks, so that a move found earlier is an upper bound. */
function grant(choices: readonly Choices[], service: Service): void {
  const heap = new MoveHeap((a, b) => {
    const [one, two] = [choices[a]!, choices[b]!];
    if (one.rate !== two.rate) return one.rate > two.rate;
    return one.reservedMs === two.reservedMs ? a < b : one.reservedMs < two.reservedMs;
  });
  for (const [index, choice] of choices.entries())
    if (choice.findMove(service.leftMs, service.leftBytes)) heap.push(index);
  for (let top = heap.top; top !== undefined; top = heap.top) {
    const choice = choices[top]!;
    if (choice.fits(choice.move)) choice.take(choice.move);
    if (choice.findMove(service.leftMs, service.leftBytes)) heap.sink();
    else heap.pop();
  }
}

/** Apps that would gain if time and memory were not limited, with their best move: those that gain most per time. */
const blockedOf = (choices: readonly Choices[]): readonly Choices[] =>
  choices
    .filter((choice) => choice.findMove(Infinity, Infinity))
    .sort((a, b) => b.rate - a.rate)
    .slice(0, BLOCKED);

/**
 * Greedy choice along hulls misses the optimum by at most the first move that did not fit. Here it starts again with such an app first, at
 * something better than it got, as long as that is better for all.
 * Source: partial enumeration, Sahni, Journal of the ACM 22 (1975).
 */
function startOtherwise(choices: readonly Choices[], service: Service): void {
  let first: readonly (readonly [Choices, number])[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const now = resultOf(choices, first);
    const results = blockedOf(choices).map((blocked) => {
      const got = now.states[choices.indexOf(blocked)]!.worth;
      for (const choice of choices) choice.reset();
      for (const [choice, place] of first) choice.take(place);
      const finds = (): boolean => blocked.findMove(service.leftMs, service.leftBytes, got);
      if (!finds()) {
        for (const choice of choices) if (!first.some(([each]) => each === choice)) choice.shrink();
        if (!finds()) return now;
      }
      const start = [...first, [blocked, blocked.move] as const];
      blocked.take(blocked.move);
      grant(choices, service);
      return resultOf(choices, start);
    });
    const best = results.reduce((most, next) => (next.worth > most.worth + LEAST_GAIN ? next : most), now);
    for (const [index, choice] of choices.entries()) choice.restore(best.states[index]!);
    if (best === now) return;
    first = best.first;
  }
}

const resultOf = (choices: readonly Choices[], first: readonly (readonly [Choices, number])[]) => {
  const states = choices.map((choice) => choice.save());
  return { first, states, worth: states.reduce((sum, { worth }) => sum + worth, 0) };
};

/** A move that did not fit may also take the time of just one other app. That makes the optimum for two apps. */
function exchange(choices: readonly Choices[]): void {
  for (let turn = 0; turn < TURNS; turn++) {
    let best: Exchange | undefined;
    for (const one of blockedOf(choices))
      for (const two of choices) if (two !== one) best = one.findExchange(two, best?.gain ?? LEAST_GAIN) ?? best;
    if (!best) return;
    best.one.take(best.mine);
    best.two.take(best.its);
  }
}

/** Time too short for a quantum goes to the trainings that bring most per time, in single steps. */
function fill(choices: readonly Choices[], service: Service): void {
  const { windowMs } = service;
  const spareMsOf = (draft: Draft): number =>
    reservedMs(service, draft) - costOf(draft.app, draft.level, draft.steps, draft.shed);
  const trainings = choices.flatMap(({ draft }) => {
    const { app, level, steps, shed } = draft;
    const { stepMs } = app.levels[level]!;
    const scoreAt = (count: number): number => app.weight * windowScore(app, level, count, windowMs, shed);
    const next = Math.min(app.quantum, app.maxSteps - steps);
    if (next <= 0 || stepMs <= 0 || service.leftMs + spareMsOf(draft) < stepMs) return [];
    const rise = scoreAt(steps + next) - scoreAt(steps);
    return rise > 0 ? { draft, stepMs, next, scoreAt, rate: rise / (next * stepMs) } : [];
  });
  for (const { draft, stepMs, next, scoreAt } of trainings.sort((a, b) => b.rate - a.rate)) {
    const { app, steps: from } = draft;
    const to = from + Math.min(next, Math.floor((service.leftMs + spareMsOf(draft)) / stepMs));
    if (to === from) continue;
    const before = reservedMs(service, draft);
    draft.steps = to;
    const costMs = reservedMs(service, draft) - before;
    service.leftMs -= costMs;
    draft.why.push({ app: app.name, action: "train", from, to, gain: scoreAt(to) - scoreAt(from), costMs });
  }
}
