import { expect, test } from "vitest";
import { Predictions } from "./predictions.js";
import type { SimulatedApp } from "./simulated-app.js";

/** Asks for a share of the device, another one after a swap, and notes what was counted. */
class Asking {
  readonly counted: (readonly [ms: number, served: number])[] = [];

  constructor(
    private share: number,
    private readonly swapped: number,
  ) {}

  predictMsIn(ms: number): number {
    return this.share * ms;
  }
  swap(): void {
    this.share = this.swapped;
  }
  predict(ms: number, served: number): void {
    this.counted.push([ms, served]);
  }
}

const predictionsOf = (...apps: Asking[]): Predictions => new Predictions(apps as unknown as SimulatedApp[]);
const swap = (predictions: Predictions, app: Asking): void => predictions.swap(app as unknown as SimulatedApp);

test("predictions take what they ask for, and no more than there is", () => {
  const predictions = predictionsOf(new Asking(0.2, 0), new Asking(0.1, 0));
  expect(predictions.pass(100, 100)).toBeCloseTo(30, 12);
  expect(predictions.pass(100, 15)).toBeCloseTo(15, 12);
  expect(predictions.pass(100, 0)).toBe(0);
  expect(predictionsOf().pass(100, 50)).toBe(0);
});

test("an app is counted by the model that served: up to its swap, and from there to the end", () => {
  const [first, second] = [new Asking(0.4, 0.1), new Asking(0.2, 0.2)];
  const predictions = predictionsOf(first, second);
  predictions.pass(100, 100);
  predictions.pass(100, 30); // half of what both ask for
  swap(predictions, first);
  expect(predictions.askedShare).toBeCloseTo(0.3, 12);
  expect(first.counted).toEqual([[200, 0.75]]);
  predictions.pass(50, 50);
  predictions.end();
  expect(first.counted).toEqual([
    [200, 0.75],
    [50, 1],
  ]);
  expect(second.counted).toEqual([[250, 0.8]]);
});

test("nothing is counted where no time went by", () => {
  const app = new Asking(0.5, 0.5);
  const predictions = predictionsOf(app);
  swap(predictions, app);
  predictions.end();
  expect(app.counted).toEqual([]);
});
