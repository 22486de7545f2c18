/** jax-js: NCHW, one jitted step of momentum 0.9 against cross-entropy. It tracks no statistics of norms, only uses them. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import {
  blockUntilReady,
  defaultDevice,
  init,
  jit,
  lax,
  nn,
  numpy as np,
  random,
  tree,
  valueAndGrad,
} from "@jax-js/jax";
import { applyNetwork } from "./networks.mjs";

const CLASSES = 10;

export async function prepare({ network, batch, imageSize, trained }, backend) {
  if (!(await init(backend)).includes(backend)) throw new Error(`jax-js: no ${backend} device here`);
  defaultDevice(backend);
  const shapes = shapesOf(network);
  let weights = Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, initial(name, shape, i)]));
  const images = random.normal(random.key(1000), [batch, 3, imageSize, imageSize]);
  const labels = nn.oneHot(np.array(Int32Array.from({ length: batch }, (_, i) => i % CLASSES)), CLASSES);
  const lossOf = (weights, images, labels) => {
    const logits = applyNetwork(network, images, layersOver(weights, true));
    return np.mean(np.sum(nn.logSoftmax(logits, 1).mul(labels), 1)).mul(-1);
  };
  const train = jit((weights, momentum, images, labels) => {
    const [loss, gradients] = valueAndGrad(lossOf)(tree.ref(weights), images, labels);
    const next = tree.map((m, g) => m.mul(0.9).add(g), momentum, gradients);
    return [loss, tree.map((w, m) => w.sub(m.mul(1e-3)), weights, tree.ref(next)), next];
  });
  const predict = jit((weights, images) => applyNetwork(network, images, layersOver(weights, false)));
  let momentum = trained === null ? {} : tree.map((w) => np.zeros(w.shape), tree.ref(weights));
  const step = async () => {
    if (trained === null) {
      const logits = predict(tree.ref(weights), images.ref);
      await blockUntilReady(logits);
      logits.dispose();
      return;
    }
    const [loss, nextWeights, nextMomentum] = train(weights, momentum, images.ref, labels.ref);
    [weights, momentum] = [nextWeights, nextMomentum];
    await blockUntilReady([weights, momentum]);
    loss.dispose();
  };
  const parameters = Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((n, d) => n * d, 1), 0);
  return { parameters, version: `jax-js ${version()}`, step };
}

/** Names and shapes of all parameters, from the same calls that compute. */
function shapesOf(network) {
  const shapes = {};
  applyNetwork(network, undefined, {
    conv(name, _, { inputs, outputs, kernel, bias }) {
      shapes[`${name}.weight`] = [outputs, inputs, kernel, kernel];
      if (bias) shapes[`${name}.bias`] = [outputs];
    },
    norm(name, _, channels) {
      shapes[`${name}.scale`] = [channels];
      shapes[`${name}.shift`] = [channels];
    },
    classify(name, _, inputs) {
      shapes[`${name}.weight`] = [inputs, CLASSES];
      shapes[`${name}.bias`] = [CLASSES];
    },
    ...{ relu() {}, add() {}, maxPool() {}, share() {} },
  });
  return shapes;
}

function initial(name, shape, seed) {
  if (!name.endsWith(".weight")) return name.endsWith(".scale") ? np.ones(shape) : np.zeros(shape);
  const fan = shape.slice(1).reduce((n, d) => n * d, 1);
  return random.normal(random.key(seed), shape).mul(Math.sqrt(2 / fan));
}

/** Layers over weights by name; a value belongs to the call that gets it, `ref` makes one to keep. */
const layersOver = (weights, training) => ({
  conv(name, x, { kernel, stride, bias }) {
    const pad = Math.floor(kernel / 2);
    const sides = [pad, pad];
    const y = lax.convGeneralDilated(x, weights[`${name}.weight`], [stride, stride], [sides, sides]);
    return bias ? y.add(weights[`${name}.bias`].reshape([-1, 1, 1])) : y;
  },
  norm(name, x) {
    const [scale, shift] = [weights[`${name}.scale`], weights[`${name}.shift`]].map((w) => w.reshape([-1, 1, 1]));
    if (!training) return x.mul(scale).add(shift);
    const centred = x.ref.sub(np.mean(x, [0, 2, 3], { keepdims: true }));
    const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true });
    return centred
      .mul(np.reciprocal(np.sqrt(variance.add(1e-5))))
      .mul(scale)
      .add(shift);
  },
  relu: (x) => nn.relu(x),
  add: (a, b) => a.add(b),
  share: (x) => x.ref,
  maxPool(x) {
    const [n, c, h, w] = x.shape;
    return np.max(x.reshape([n, c, h / 2, 2, w / 2, 2]), [3, 5]);
  },
  classify: (name, x) => np.matmul(np.mean(x, [2, 3]), weights[`${name}.weight`]).add(weights[`${name}.bias`]),
});

function version() {
  const entry = createRequire(import.meta.url).resolve("@jax-js/jax");
  return JSON.parse(readFileSync(new URL("../package.json", `file://${entry}`), "utf8")).version;
}
