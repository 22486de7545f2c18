import { MessageChannel } from "node:worker_threads";
import type { Tensor } from "onnxruntime-common";
import { createArray, type DType, sizeOf } from "../base/index.js";
import type { StateBinding, TensorType } from "./session.js";
import { removeFrom, StateArrays } from "./state.js";

/**
 * State in host memory with two buffers per array, for onnxruntime-node: a run writes into the back one, in place, and an accepted
 * run swaps them. So no step leaves garbage in proportion to the model.
 */
export class InPlaceState extends StateArrays {
  private readonly backs = new Map<string, Tensor>();

  /** Tensors over pieces of arrays, by array and place. */
  private readonly tiles = new Map<string, Map<number, Tensor>>();

  override declare(name: string, { dtype, dims }: TensorType): void {
    super.declare(name, { dtype, dims });
    if (!this.fronts.has(name))
      this.fronts.set(name, this.convert.wrap({ dtype, dims, data: createArray(dtype, sizeOf(dims)) }));
  }

  override source({ name, tile }: StateBinding): Tensor {
    return tile ? this.piece(name, tile) : this.front(name);
  }

  override target(binding: StateBinding): Tensor {
    return binding.inPlace ? this.source(binding) : this.back(binding.name);
  }

  private piece(name: string, { from, length }: NonNullable<StateBinding["tile"]>): Tensor {
    const pieces = this.tiles.get(name) ?? new Map<number, Tensor>();
    this.tiles.set(name, pieces);
    let tensor = pieces.get(from);
    if (tensor?.dims[0] !== length) {
      const { type, data } = this.front(name);
      const view = (data as Float32Array).subarray(from, from + length);
      tensor = this.convert.wrap({ dtype: type as DType, dims: [length], data: view });
      pieces.set(from, tensor);
    }
    return tensor;
  }

  private back(name: string): Tensor {
    let back = this.backs.get(name);
    if (!back) {
      const { type, dims } = this.front(name);
      const dtype = type as DType;
      back = this.convert.wrap({ dtype, dims, data: createArray(dtype, sizeOf(dims)) });
      this.backs.set(name, back);
    }
    return back;
  }

  override drop(prefix: string): undefined {
    super.drop(prefix);
    removeFrom(this.backs, prefix);
    removeFrom(this.tiles, prefix);
  }

  override settle(
    bindings: readonly StateBinding[],
    results: Readonly<Record<string, Tensor>>,
    accepted: boolean,
    kept: readonly string[],
  ): void {
    const written = bindings.filter(({ output }) => output !== undefined);
    const copies = written.flatMap((binding) => {
      const { buffer } = results[binding.output!]!.data as Float32Array;
      const isCopy = buffer !== (this.target(binding).data as Float32Array).buffer;
      return isCopy && !kept.includes(binding.output!) ? [buffer as ArrayBuffer] : [];
    });
    freeBuffers(copies);
    if (!accepted) return;
    for (const { name } of written.filter(({ inPlace }) => !inPlace)) {
      const [front, back] = [this.front(name), this.back(name)];
      this.fronts.set(name, back);
      this.backs.set(name, front);
    }
  }
}

/**
 * What is sent into a closed port is freed at once. Left to the collector, copies of the weights that onnxruntime-node answers with
 * would pile up by the gigabyte.
 */
export const freeBuffers = (buffers: ArrayBuffer[]): void => bin.port1.postMessage(null, buffers);

const bin = new MessageChannel();
bin.port1.close();
