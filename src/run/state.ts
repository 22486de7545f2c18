import type { Tensor } from "onnxruntime-common";
import { createArray, formatShape, LimberError, type NumericArray, sameShape, sizeOf } from "../base/index.js";
import type { RunTensor, StateArray, StateBinding, TensorType } from "./session.js";

/** How a runtime makes its tensors, and gives their data back. */
export interface Conversion {
  /** A tensor of this runtime's own class over the same data. */
  wrap(value: RunTensor): Tensor;
  /** The data of a tensor: without a copy when it is in host memory, downloaded when it is on the device. */
  unwrap(tensor: Tensor): RunTensor | Promise<RunTensor>;
}

/** `unwrap` of a tensor in host memory. */
export const unwrapHost = (tensor: Tensor): RunTensor => ({
  dtype: tensor.type as RunTensor["dtype"],
  dims: tensor.dims,
  data: tensor.data as NumericArray,
});

/**
 * The named arrays that the sessions of one machine share: a run reads each from its front tensor and leaves the new value in another,
 * which becomes the front when the run is accepted. So a refused run costs nothing and changes nothing.
 *
 * Where the new value is written, and what happens to the tensor that is no longer the front, is up to the runtime: here it chooses
 * the place, on the device if it likes, and the old front is given back. `InPlaceState` keeps two host buffers instead.
 */
export class StateArrays {
  protected readonly fronts = new Map<string, Tensor>();
  private readonly declared = new Set<string>();

  constructor(protected readonly convert: Conversion) {}

  /** Throws: `config.invalid` for an array that was never written. */
  front(name: string): Tensor {
    const tensor = this.fronts.get(name);
    if (tensor) return tensor;
    throw new LimberError("config.invalid", `state "${name}": written before it is bound, got no such array`, { name });
  }

  /** Throws: `config.invalid` for an array that neither was written nor is the result of a run. */
  check(name: string): void {
    if (!this.declared.has(name)) this.front(name);
  }

  /** An array that only runs write. */
  declare(name: string, type: TensorType): void;
  declare(name: string): void {
    this.declared.add(name);
  }

  /** What a run reads. */
  source({ name }: StateBinding): Tensor {
    return this.front(name);
  }

  /** Where a run has to write the next value of an array; null leaves that to the runtime. */
  target(binding: StateBinding): Tensor | null;
  target(): Tensor | null {
    return null;
  }

  /** Ends a run: what it wrote becomes the state, or is dropped. `kept` are outputs that the caller still reads. */
  settle(
    bindings: readonly StateBinding[],
    results: Readonly<Record<string, Tensor>>,
    accepted: boolean,
    kept: readonly string[],
  ): void {
    for (const { name, output } of bindings) {
      if (output === undefined) continue;
      if (accepted) {
        const old = this.fronts.get(name);
        this.fronts.set(name, results[output]!);
        old?.dispose();
      } else if (!kept.includes(output)) results[output]!.dispose();
    }
  }

  /** All arrays or, when one of them does not fit, none; their data now belongs to the store. Throws: `shape.mismatch`. */
  write(arrays: readonly StateArray[]): undefined {
    for (const { name, value } of arrays) {
      const front = this.fronts.get(name);
      if (!front || (front.type === value.dtype && sameShape(front.dims, value.dims))) continue;
      const message = `state "${name}": ${front.type} ${formatShape(front.dims)}, got ${value.dtype} ${formatShape(value.dims)}`;
      throw new LimberError("shape.mismatch", message, { name });
    }
    for (const { name, value } of arrays) {
      const front = this.fronts.get(name);
      const data = "data" in value ? value.data : createArray(value.dtype, sizeOf(value.dims));
      if (front?.location === "cpu") (front.data as Float32Array).set(data as Float32Array);
      else {
        this.fronts.set(name, this.convert.wrap({ ...value, data }));
        front?.dispose();
      }
    }
  }

  /** Forgets the arrays whose names begin so, and frees their memory. */
  drop(prefix: string): undefined {
    for (const tensor of removeFrom(this.fronts, prefix)) tensor.dispose();
    for (const name of this.declared) if (name.startsWith(prefix)) this.declared.delete(name);
  }

  /** Copies of the arrays. */
  async read(names: readonly string[]): Promise<Map<string, RunTensor>> {
    const copies = new Map<string, RunTensor>();
    for (const name of names) {
      const { dtype, dims, data } = await this.convert.unwrap(this.front(name));
      copies.set(name, { dtype, dims, data: data.slice() });
    }
    return copies;
  }
}

/** Takes what has a name that begins so out of a map. */
export function removeFrom<T>(map: Map<string, T>, prefix: string): T[] {
  const found = [...map].filter(([name]) => name.startsWith(prefix));
  for (const [name] of found) map.delete(name);
  return found.map(([, value]) => value);
}
