/**
 * The networks of `src/graph/networks` as calls on a library's layers: `conv` and `norm` name their weights, the rest is plain.
 * A library brings { conv, norm, relu, add, maxPool, classify, share } over its own kind of value; `share` makes a value that
 * is read once more.
 */
const RESNETS = {
  resnet20: { channels: [16, 32, 64], depth: 3 },
  resnet56: { channels: [16, 32, 64], depth: 9 },
  resnet18: { channels: [64, 128, 256, 512], depth: 2 },
};
const VGG11 = [[64], [128], [256, 256], [512, 512], [512, 512]];

/** The logits of a network; `layers` as above. */
export function applyNetwork(name, x, layers) {
  if (name in RESNETS) return resNet(RESNETS[name], x, layers);
  if (name === "vgg11_bn") return vgg11(x, layers);
  throw new Error(`network: not written for this library: ${name}`);
}

/** Basic blocks for small images; the shortcut is a 1x1 convolution with norm where the shape changes. */
function resNet({ channels, depth }, image, { conv, norm, relu, add, classify, share }) {
  const normed = (path, x, inputs, outputs, kernel, stride) =>
    norm(`${path}.norm`, conv(path, x, { inputs, outputs, kernel, stride, bias: false }), outputs);
  let [x, inputs] = [relu(normed("stem", image, 3, channels[0], 3, 1)), channels[0]];
  channels.forEach((outputs, stage) => {
    for (let block = 0; block < depth; block++) {
      const path = `stages.${stage}.${block}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const first = relu(normed(`${path}.conv1`, share(x), inputs, outputs, 3, stride));
      const second = normed(`${path}.conv2`, first, outputs, outputs, 3, 1);
      const changes = stride !== 1 || inputs !== outputs;
      x = relu(add(second, changes ? normed(`${path}.shortcut`, x, inputs, outputs, 1, stride) : x));
      inputs = outputs;
    }
  });
  return classify("classifier", x, inputs);
}

/** VGG-11 with norm; a max-pool closes each stage, one linear layer classifies. */
function vgg11(image, { conv, norm, relu, maxPool, classify }) {
  let [x, inputs] = [image, 3];
  VGG11.forEach((stage, i) => {
    stage.forEach((outputs, j) => {
      const path = `features.${i}.${j}`;
      const convolved = conv(path, x, { inputs, outputs, kernel: 3, stride: 1, bias: true });
      x = relu(norm(`${path}.norm`, convolved, outputs));
      inputs = outputs;
    });
    x = maxPool(x);
  });
  return classify("classifier", x, inputs);
}
