// One training run, the same in this process, in another one and in a page: the library and a machine go in, plain numbers come out.

const STEPS = 5;
const BATCH = 4;
const SIDE = 8;

/** Networks by name: one of dense convolutions with residual sums, one with a depthwise convolution and attention. */
const NETWORKS = {
  resnet8: ({ buildNetwork }) => buildNetwork("resnet8", { imageSize: SIDE, classes: 4, width: 0.25, seed: 3 }),
  probe: ({ buildProbe }) => buildProbe(),
};

export const WORKLOADS = Object.keys(NETWORKS);

/** Losses of five steps, weights after them, and whether a sixth on pictures that are not numbers was refused without a trace. */
export async function trainOn({ graph, Trainer }, machine, name) {
  const model = graph.prepareModel(NETWORKS[name](graph));
  const trainer = Trainer.create(model, {
    machine,
    threads: 1,
    statistics: { sourceWeight: 0, variance: "unbiased" },
    train: {
      loss: graph.crossEntropy(),
      optimizer: graph.sgd({ momentum: 0.9 }),
      parameters: graph.parametersOf(model).map((parameter) => parameter.name),
    },
  });
  const step = (level) => {
    const dims = [BATCH, 3, SIDE, SIDE];
    const data = Float32Array.from({ length: BATCH * 3 * SIDE * SIDE }, (_, i) => level(i));
    const targets = { dtype: "int64", dims: [BATCH], data: BigInt64Array.of(0n, 1n, 2n, 3n) };
    const settings = { learningRate: 0.05, statisticsMomentum: 0.1 };
    return trainer.step({ images: { dtype: "float32", dims, data }, targets }, settings);
  };
  const losses = [];
  for (let i = 0; i < STEPS; i++) losses.push((await step((j) => Math.sin(1.7 * j))).loss);
  const weights = await weightsOf(trainer);
  const { accepted } = await step(() => NaN);
  const after = await weightsOf(trainer);
  await trainer[Symbol.asyncDispose]();
  return { losses, weights, isRefused: !accepted && after.every((value, i) => value === weights[i]) };
}

async function weightsOf(trainer) {
  const { graph } = await trainer.exportModel();
  return [...graph.initializers.values()].filter(({ dtype }) => dtype === "float32").flatMap(({ data }) => [...data]);
}
