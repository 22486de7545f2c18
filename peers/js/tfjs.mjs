/** TensorFlow.js through its layers: NHWC, padding as PyTorch's, momentum 0.9 against cross-entropy. */
import * as tf from "@tensorflow/tfjs";
import { setThreadsCount } from "@tensorflow/tfjs-backend-wasm";
import { applyNetwork } from "./networks.mjs";

const CLASSES = 10;

export async function prepare({ network, batch, imageSize, threads, trained }, backend) {
  // Threads of the wasm backend need a browser; in Node.js the setting changes nothing.
  if (backend === "wasm") setThreadsCount(threads);
  await tf.setBackend(backend);
  await tf.ready();
  const image = tf.input({ shape: [imageSize, imageSize, 3] });
  const model = tf.model({ inputs: image, outputs: applyNetwork(network, image, layers) });
  const images = tf.randomNormal([batch, imageSize, imageSize, 3]);
  const labels = tf.oneHot(tf.randomUniform([batch], 0, CLASSES, "int32"), CLASSES);
  const optimizer = tf.train.momentum(1e-3, 0.9);
  const train = async () => {
    const loss = optimizer.minimize(
      () => tf.losses.softmaxCrossEntropy(labels, model.apply(images, { training: true })),
      true,
    );
    await loss.data();
    loss.dispose();
  };
  const predict = async () => {
    const logits = model.predict(images, { batchSize: batch });
    await logits.data();
    logits.dispose();
  };
  const parameters = model.trainableWeights.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0);
  return { parameters, version: `TensorFlow.js ${tf.version.tfjs}`, step: trained === null ? predict : train };
}

const layers = {
  conv(name, x, { outputs, kernel, stride, bias }) {
    const pad = Math.floor(kernel / 2);
    const padded = pad === 0 ? x : tf.layers.zeroPadding2d({ padding: pad }).apply(x);
    const options = {
      name: name.replaceAll(".", "_"),
      filters: outputs,
      kernelSize: kernel,
      strides: stride,
      useBias: bias,
    };
    return tf.layers.conv2d({ ...options, kernelInitializer: "heNormal" }).apply(padded);
  },
  norm: (name, x) =>
    tf.layers.batchNormalization({ name: name.replaceAll(".", "_"), momentum: 0.9, epsilon: 1e-5 }).apply(x),
  relu: (x) => tf.layers.reLU().apply(x),
  add: (a, b) => tf.layers.add().apply([a, b]),
  share: (x) => x,
  maxPool: (x) => tf.layers.maxPooling2d({ poolSize: 2 }).apply(x),
  classify: (name, x) => tf.layers.dense({ name, units: CLASSES }).apply(tf.layers.globalAveragePooling2d({}).apply(x)),
};
