import type { Random } from "../../base/index.js";
import type { RunTensor } from "../../run/node.js";
import { imageAt, stackImages } from "./images.js";
import { Reservoir } from "./reservoir.js";

interface Remembered {
  readonly image: RunTensor;
  /** The class, or the classes of a map place by place. */
  readonly label: { readonly dims: readonly number[]; readonly data: BigInt64Array };
}

/** Images with the labels they are replayed with. Shapes: images [N, C, H, W], labels [N] or [N, H, W]. */
export interface Labelled {
  readonly images: RunTensor;
  readonly labels: RunTensor;
}

/**
 * Images of the domains so far, as many of each: a uniform sample of the current one, or its first images, which join the past when it ends.
 * Source: replay of CUA in EdgeVisionBench.
 */
export class ReplayMemory {
  private readonly past: Remembered[] = [];
  private readonly current: Reservoir<Remembered>;

  constructor(
    perDomain: number,
    private readonly random: Random,
    private readonly keeps: "sample" | "first" = "sample",
  ) {
    this.current = new Reservoir(perDomain, random);
  }

  add({ images, labels }: Labelled): void {
    const { capacity } = this.current;
    const size = labels.data.length / images.dims[0]!;
    for (let index = 0; index < images.dims[0]!; index++) {
      if (this.keeps === "first" && this.current.items().length === capacity) return;
      const data = (labels.data as BigInt64Array).slice(index * size, (index + 1) * size);
      this.current.add({ image: imageAt(images, index), label: { dims: labels.dims.slice(1), data } });
    }
  }

  /** Keeps what it has of the current domain for good. */
  endDomain(): void {
    this.past.push(...this.current.items());
    this.current.clear();
  }

  /** Whether there is no past yet. */
  get isEmpty(): boolean {
    return this.past.length === 0;
  }

  /** A random batch of the past, which is not empty: without repetition where there are enough. */
  draw(count: number): Labelled {
    const chosen: Remembered[] = [];
    while (chosen.length < count) chosen.push(...this.random.shuffled(this.past).slice(0, count - chosen.length));
    const data = BigInt64Array.from(chosen.flatMap(({ label }) => [...label.data]));
    const labels = { dtype: "int64", dims: [count, ...chosen[0]!.label.dims], data } as const;
    return { images: stackImages(chosen.map(({ image }) => image)), labels };
  }

  clear(): void {
    this.past.length = 0;
    this.current.clear();
  }
}
