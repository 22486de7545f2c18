import { type Tensor, zeros } from "../base/index.js";
import { buildStep, inferShapes, type Model, modelUpTo, sgd, type Statistics, writeModel } from "../graph/index.js";
import type { Machine, RunTensor, SessionOptions } from "../run/node.js";
import type { TaskHead } from "../vision/index.js";

export interface LossProbeOptions extends SessionOptions {
  readonly machine: Machine;
  readonly head: Pick<TaskHead<unknown>, "loss">;
  /** Weights that each measurement is given anew. */
  readonly parameters: readonly string[];
  /** How normalization works meanwhile; default `fixed`. */
  readonly statistics?: Statistics | undefined;
}

/** Tells the loss of a model on one batch for weights to choose among; loading them compiles nothing. */
export interface LossProbe extends AsyncDisposable {
  measure(weights: ReadonlyMap<string, Tensor>): Promise<number>;
}

/** The forward half of a training step, whose weights are inputs. Shapes: images [N, C, H, W]; targets as the loss asks. */
export async function createLossProbe(
  model: Model,
  { images, targets }: { readonly images: RunTensor; readonly targets: RunTensor },
  { machine, head, parameters, statistics = "fixed", ...session }: LossProbeOptions,
): Promise<LossProbe> {
  const input = model.graph.inputs.find(({ name }) => !model.graph.initializers.has(name))!.name;
  const bound = inferShapes(model, { inputDims: { [input]: images.dims } });
  const train = { loss: head.loss, optimizer: sgd(), parameters };
  const step = buildStep(bound, { statistics, train });
  const loss = step.outputs.loss!;
  const forward = modelUpTo(step.model, [loss]);
  const loaded = await machine.createSession(writeModel(forward), session);
  const names = new Map(step.state.map((slot) => [slot.initializer, slot.input]));
  const read = new Set(forward.graph.inputs.map(({ name }) => name));
  const fixed = { [input]: images, ...(step.inputs.targets && { [step.inputs.targets.name]: targets }) };
  // what the other half of the step reads
  const unread = Object.fromEntries(
    forward.graph.inputs.map(({ name, dtype, dims }) => [name, zeros(dtype, (dims ?? []) as number[]) as RunTensor]),
  );
  return {
    async measure(weights) {
      const given = Array.from(weights, ([name, tensor]) => [names.get(name), tensor as RunTensor] as const);
      const feeds = Object.fromEntries(
        given.flatMap(([name, tensor]) => (name && read.has(name) ? [[name, tensor]] : [])),
      );
      const { outputs } = await loaded.run({ ...unread, ...fixed, ...feeds }, { fetches: [loss] });
      return Number(outputs[loss]!.data[0]);
    },
    [Symbol.asyncDispose]: () => loaded.dispose(),
  };
}
