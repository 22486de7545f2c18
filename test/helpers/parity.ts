import { evaluate, type Feeds, type ReferenceTensor, type Step, toReference } from "../../src/graph/index.js";

/** Runs a training step in float64 on the reference interpreter, keeping its state between calls. */
export class ReferenceTrainer {
  private state: Map<string, ReferenceTensor>;

  constructor(private readonly step: Step) {
    this.state = new Map(step.state.map(({ input, initial }) => [input, toReference(initial)]));
  }

  /** One step; gives the outputs of the step by their role. */
  run(
    images: ReferenceTensor,
    settings: { targets?: ReferenceTensor; learningRate?: number; statisticsMomentum?: number } = {},
  ): { prediction: ReferenceTensor; loss: number | undefined; gradientNorm: number | undefined } {
    const { inputs, outputs, state, model } = this.step;
    const scalar = (value: number): ReferenceTensor => ({ dtype: "float32", dims: [], data: Float64Array.of(value) });
    const feeds = new Map<string, ReferenceTensor>([...this.state, [inputs.data[0]!.name, images]]);
    if (inputs.targets) feeds.set(inputs.targets.name, settings.targets!);
    if (inputs.learningRate) feeds.set(inputs.learningRate, scalar(settings.learningRate!));
    if (inputs.statisticsMomentum) feeds.set(inputs.statisticsMomentum, scalar(settings.statisticsMomentum ?? 0));
    const results = evaluate(model, feeds satisfies Feeds);
    this.state = new Map(state.map(({ input, output }) => [input, results.get(output)!]));
    const numberOf = (name: string | undefined): number | undefined =>
      name === undefined ? undefined : results.get(name)!.data[0];
    return {
      prediction: results.get(outputs.prediction)!,
      loss: numberOf(outputs.loss),
      gradientNorm: numberOf(outputs.gradientNorm),
    };
  }

  /** The current weights and tracked statistics by the names of the model's initializers. */
  weights(): Map<string, ReferenceTensor> {
    const owned = this.step.state.flatMap(({ input, initializer }) =>
      initializer === undefined ? [] : [[initializer, this.state.get(input)!] as const],
    );
    return new Map(owned);
  }
}

/** Largest |a - b|. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}

/** ‖a - b‖ / ‖b‖: what is left of a tensor that should equal another. */
export function relativeDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let [distance, norm] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    distance += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(distance / Math.max(norm, 1e-30));
}
