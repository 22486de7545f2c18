/** What the engine benchmark trains: full training steps at the sizes of the first prototype's table. */
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
  { name: "resnet18", peer: "resnet18", batch: 16, imageSize: 32 },
  { name: "vgg11", peer: "vgg11_bn", batch: 16, imageSize: 32 },
  { name: "mobilenetv2", peer: "mobilenetv2", batch: 16, imageSize: 96 },
];
