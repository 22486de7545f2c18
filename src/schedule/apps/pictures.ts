import { LimberError, type Random } from "../../base/index.js";
import type { RunTensor } from "../../run/node.js";

/** The pictures that an app saw last; beyond `capacity` the oldest are forgotten. Shapes: images [N, C, H, W], all of one size. */
export class Pictures {
  private rows: Float32Array[] = [];
  private dims: readonly number[] = [];
  /** What was drawn last lies here. */
  private drawn = new Float32Array();

  constructor(private readonly capacity = 256) {}

  get count(): number {
    return this.rows.length;
  }

  /** Pictures of another size than before take the place of all. */
  add({ dims, data }: RunTensor): void {
    const length = data.length / dims[0]!;
    if (dims.slice(1).join() !== this.dims.join()) this.rows = [];
    this.dims = dims.slice(1);
    for (let row = 0; row < dims[0]!; row++)
      this.rows.push((data as Float32Array).slice(row * length, (row + 1) * length));
    this.rows = this.rows.slice(-this.capacity);
  }

  /** Forgets all but the newest ones. */
  keep(count: number): void {
    this.rows = this.rows.slice(-count);
  }

  /** The newest ones, at most so many, the newest last. Throws: `data.invalid` where there are none. */
  latest(count: number): RunTensor {
    return this.pack(this.rows.slice(-count));
  }

  /** So many at random, each once as long as they last. In the same memory each time, so that nothing is left to collect: good until the next draw. */
  draw(count: number, random: Random): RunTensor {
    const order = random.shuffled(this.rows);
    const length = count * (order[0]?.length ?? 0);
    if (this.drawn.length !== length) this.drawn = new Float32Array(length);
    return this.pack(
      Array.from({ length: order.length && count }, (_, i) => order[i % order.length]!),
      this.drawn,
    );
  }

  private pack(rows: readonly Float32Array[], memory?: Float32Array): RunTensor {
    const [first] = rows;
    if (!first) throw new LimberError("data.invalid", "app: pictures to learn from, got none; observe some first");
    const data = memory ?? new Float32Array(rows.length * first.length);
    rows.forEach((row, i) => data.set(row, i * first.length));
    return { dtype: "float32", dims: [rows.length, ...this.dims], data };
  }
}
