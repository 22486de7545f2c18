import { Random, sizeOf, tensorOf } from "../../src/base/index.js";
import { attr, buildNetwork, type Model, parametersOf, prepareModel } from "../../src/graph/index.js";
import { resNet } from "../../src/graph/networks/resnet.js";
import type { RunTensor } from "../../src/run/node.js";
import { blockDomain, type Domain, parsePreprocessing } from "../../src/vision/index.js";
import { modelOf, node } from "./graph.js";

export const CLASSES = 4;
const SIDE = 16;

/** A ResNet-8 of 8 to 16 channels for pictures of 16 × 16 and four classes; trains in a few steps. */
export const tinyNetwork = (seed = 1): Model =>
  prepareModel(buildNetwork("resnet8", { imageSize: SIDE, classes: CLASSES, width: 0.25, seed }));

/** A stem and one residual block of 8 channels on the same pictures: what is compiled over and over. */
export const smallNetwork = (seed = 1): Model =>
  prepareModel(resNet("small", [8], 1, { imageSize: SIDE, classes: CLASSES, seed }));

export const parameterNames = (model: Model): string[] => parametersOf(model).map(({ name }) => name);

/** A classifier of the same border whose normalization was folded into its convolution. */
export function foldedNetwork(): Model {
  const random = new Random(5);
  const draw = (dims: readonly number[]) =>
    tensorOf(
      "float32",
      dims,
      Array.from({ length: sizeOf(dims) }, () => random.normal(0, 0.3)),
    );
  return modelOf({
    inputs: { input: ["batch", 3, SIDE, SIDE] },
    outputs: { logits: ["batch", CLASSES] },
    initializers: { "conv.weight": draw([8, 3, 3, 3]), "conv.bias": draw([8]), "head.weight": draw([8, CLASSES]) },
    nodes: [
      node("Conv", ["input", "conv.weight", "conv.bias"], ["h"], { kernel_shape: attr.ints([3, 3]) }),
      node("Relu", ["h"], ["r"]),
      node("GlobalAveragePool", ["r"], ["p"]),
      node("Flatten", ["p"], ["f"]),
      node("MatMul", ["f", "head.weight"], ["logits"]),
    ],
  });
}

/** A batch of noise with a label each. */
export function noiseBatch(size: number, seed = 1): { images: RunTensor; targets: RunTensor } {
  const random = new Random(seed);
  const dims = [size, 3, SIDE, SIDE];
  return {
    images: { dtype: "float32", dims, data: Float32Array.from({ length: sizeOf(dims) }, () => random.normal()) },
    targets: {
      dtype: "int64",
      dims: [size],
      data: BigInt64Array.from({ length: size }, () => BigInt(random.int(0, CLASSES))),
    },
  };
}

export const TINY_PREPROCESSING = parsePreprocessing({ width: SIDE, height: SIDE, mean: 0.5, std: 0.25 });

export interface SquaresOptions {
  readonly seed?: number;
  /** What becomes of a grey level. */
  readonly level?: (level: number) => number;
  readonly label?: (index: number) => number;
}

/** Pictures of a bright square in one of four quadrants, which is the class, on dark noise. */
export function squares(
  name: string,
  samples: number,
  { seed = 1, level = (x) => x, label = (index) => index % CLASSES }: SquaresOptions = {},
): Domain {
  const random = new Random(seed).fork("squares");
  const labels = Array.from({ length: samples }, (_, i) => label(i));
  const data = new Float32Array(samples * SIDE * SIDE * 3);
  labels.forEach((quadrant, i) => {
    const [top, left] = [quadrant >> 1, quadrant & 1].map((half) => half * 8 + random.int(0, 4)) as [number, number];
    for (let y = 0; y < SIDE; y++)
      for (let x = 0; x < SIDE; x++) {
        const inside = y >= top && y < top + 5 && x >= left && x < left + 5;
        const at = ((i * SIDE + y) * SIDE + x) * 3;
        for (let c = 0; c < 3; c++) data[at + c] = level((inside ? 200 : 60) + random.normal(0, 25));
      }
  });
  const block = { count: samples, height: SIDE, width: SIDE, channels: 3, data } as const;
  return blockDomain({ name, labels, path: `${name}.npy`, block });
}

/** The same domain with some pictures replaced: by noise with a NaN in it, or by nothing that can be read. */
export function damaged(domain: Domain, broken: Readonly<Record<number, "nan" | "unreadable">>): Domain {
  return {
    ...domain,
    read: async (index) => {
      if (broken[index] === "unreadable") return { unreadable: "cut off" };
      const reading = await domain.read(index);
      if (broken[index] === undefined || "unreadable" in reading) return reading;
      const data = Float32Array.from(reading.image.data);
      data[7] = NaN;
      return { image: { ...reading.image, data } };
    },
  };
}
