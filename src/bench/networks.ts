import type { Mode } from "./modes.js";

/** One network of the engine benchmark, at the batch and image size that it is timed at. */
export interface BenchNetwork {
  /** Name in `buildNetwork`. */
  readonly name: string;
  /** Name in `peers/networks.py`. */
  readonly peer: string;
  readonly batch: number;
  readonly imageSize: number;
}

export const BENCH_NETWORKS: readonly BenchNetwork[] = [
  { name: "resnet20", peer: "resnet20", batch: 32, imageSize: 32 },
  { name: "resnet56", peer: "resnet56", batch: 32, imageSize: 32 },
  { name: "resnet18", peer: "resnet18", batch: 16, imageSize: 32 },
  { name: "vgg11", peer: "vgg11_bn", batch: 16, imageSize: 32 },
  { name: "mobilenetv2", peer: "mobilenetv2", batch: 16, imageSize: 96 },
  { name: "shufflenetv2", peer: "shufflenetv2", batch: 16, imageSize: 96 },
  { name: "densenet", peer: "densenet", batch: 16, imageSize: 32 },
  { name: "vit", peer: "vit", batch: 16, imageSize: 32 },
  { name: "convnext", peer: "convnext", batch: 16, imageSize: 64 },
  { name: "unet", peer: "unet", batch: 4, imageSize: 64 },
];

export const batchOf = ({ batch }: BenchNetwork, mode: Mode): number => (mode === "inference-1" ? 1 : batch);
