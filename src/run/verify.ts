import { isLimberError, LimberError, Random, sizeOf, type Tensor } from "../base/index.js";
import {
  buildProbe,
  buildStep,
  crossEntropy,
  evaluate,
  inferShapes,
  parametersOf,
  prepareModel,
  type ReferenceTensor,
  sgd,
  type Step,
  writeModel,
} from "../graph/index.js";
import { lowerFor } from "./blocks.js";
import type { Machine, RunTensor } from "./session.js";

/** Between float32 on a device and float64, relative to the larger of 1 and the value itself. */
const TOLERANCE = 1e-3;
const STEPS = 2;
const BATCH = 4;
const PREFIX = "probe/";

/**
 * Trains a tiny network for two steps on a machine and compares all that comes out, weights included, with the float64 reference.
 * Gives the largest deviation. Throws: `provider.refused`, saying what differed or why it did not run.
 */
export async function checkProvider(machine: Machine): Promise<number> {
  const model = inferShapes(prepareModel(buildProbe()), { batch: BATCH });
  const step = buildStep(model, {
    statistics: { sourceWeight: 0, variance: "unbiased" },
    train: {
      loss: crossEntropy(),
      optimizer: sgd({ momentum: 0.9 }),
      parameters: parametersOf(model).map(({ name }) => name),
    },
  });
  const feeds = feedsOf(step);
  const expected = referenceOf(step, feeds);
  const got = await runOn(machine, step, feeds).catch((cause: unknown) => {
    throw refusal(machine, isLimberError(cause) ? cause.message : String(cause), cause);
  });
  let most = 0;
  for (const [name, { data }] of expected) {
    const values = got.get(name)?.data;
    data.forEach((value, i) => {
      const deviation = Math.abs(Number(values?.[i]) - value) / Math.max(1, Math.abs(value));
      if (!(deviation <= TOLERANCE)) throw refusal(machine, `${values?.[i]} in place of ${value} in "${name}"`);
      most = Math.max(most, deviation);
    });
  }
  return most;
}

function refusal({ provider }: Machine, reason: string, cause?: unknown): LimberError {
  const message = `provider ${provider}: a small training step right to ${TOLERANCE}, got ${reason}; use another provider, such as cpu`;
  return new LimberError("provider.refused", message, { provider, reason }, { cause });
}

type Named<T> = Readonly<Record<string, T>>;

function feedsOf({ inputs }: Step): Named<RunTensor> {
  const random = new Random(1);
  const dims = [BATCH, 3, 8, 8];
  const number = (value: number): RunTensor => ({ dtype: "float32", dims: [], data: Float32Array.of(value) });
  return {
    [inputs.data[0]!.name]: {
      dtype: "float32",
      dims,
      data: Float32Array.from({ length: sizeOf(dims) }, () => random.normal()),
    },
    [inputs.targets!.name]: { dtype: "int64", dims: [BATCH], data: BigInt64Array.of(0n, 1n, 2n, 3n) },
    [inputs.learningRate!]: number(0.1),
    [inputs.statisticsMomentum!]: number(0.1),
  };
}

const measuresOf = ({ outputs }: Step): string[] => [outputs.prediction, outputs.loss!, outputs.gradientNorm!];

/** What the last step measures, and the state after it, by the names of outputs. */
function referenceOf({ model, state }: Step, feeds: Named<RunTensor>): Map<string, ReferenceTensor> {
  let values: Named<Tensor | ReferenceTensor> = Object.fromEntries(state.map(({ input, initial }) => [input, initial]));
  let results = new Map<string, ReferenceTensor>();
  for (let i = 0; i < STEPS; i++) {
    results = evaluate(model, { ...feeds, ...values });
    values = Object.fromEntries(state.map(({ input, output }) => [input, results.get(output)!]));
  }
  return results;
}

/** The same of a machine. */
async function runOn(machine: Machine, step: Step, feeds: Named<RunTensor>): Promise<Map<string, RunTensor>> {
  const { model, state } = step;
  await machine.writeState(state.map(({ input, initial }) => ({ name: PREFIX + input, value: initial as RunTensor })));
  const bindings = state.map(({ input, output }) => ({ name: PREFIX + input, input, output }));
  const session = await machine.createSession(writeModel(await lowerFor(machine, model)), {}, bindings);
  let outputs: Named<RunTensor> = {};
  for (let i = 0; i < STEPS; i++) ({ outputs } = await session.run(feeds, { fetches: measuresOf(step) }));
  await session.dispose();
  const names = bindings.map(({ name }) => name);
  const arrays = await machine.readState(names);
  await machine.dropState(PREFIX);
  return new Map([
    ...Object.entries(outputs),
    ...bindings.map(({ name, output }) => [output, arrays.get(name)!] as const),
  ]);
}
