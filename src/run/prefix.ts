import { createArray, isFloat, isLimberError, type NumericArray, Random, sizeOf } from "../base/index.js";
import { inferShapes, type Model, modelUpTo, type ValueInfo, writeModel } from "../graph/index.js";
import type { PrefixCache, SampleId } from "./prefix-cache.js";
import type { Feeds, Machine, RunTensor, Session, SessionOptions } from "./session.js";

/** Samples of one run. Runs are always of this size, so that no sum is split another way in another batch. */
const CHUNK = 8;

/** An input or output; dims are those of one sample. */
interface Value {
  readonly name: string;
  readonly dtype: RunTensor["dtype"];
  readonly dims: readonly number[];
}

/** The frozen part of a model: computes its last activations, each sample once as far as the cache goes. */
export class FrozenPrefix {
  private constructor(
    /** The values that it computes. */
    readonly frontier: readonly string[],
    private readonly session: Session,
    private readonly cache: PrefixCache,
    private readonly image: Value,
    private readonly outputs: readonly Value[],
    private readonly chunk: number,
  ) {}

  /**
   * Loads the part of a model up to `frontier`. Undefined where activations cannot be kept sample by sample: the model takes
   * no other batch, or what it computes for a sample depends, by a single bit, on the samples beside it.
   */
  static async create(
    model: Model,
    imageDims: readonly number[],
    frontier: readonly string[],
    { machine, cache, session: options }: { machine: Machine; cache: PrefixCache; session: SessionOptions },
  ): Promise<FrozenPrefix | undefined> {
    const image = model.graph.inputs.find(({ name }) => !model.graph.initializers.has(name))!;
    const chunk = image.dims && typeof image.dims[0] === "number" ? image.dims[0] : CHUNK;
    const dims = imageDims.slice(1);
    const part = bindChunk(model, image, [chunk, ...dims], frontier);
    if (!part || !isFloat(image.dtype)) return undefined;
    const outputs = part.graph.outputs.map((v): Value => ({ ...v, dims: v.dims!.slice(1) as number[] }));
    const session = await machine.createSession(writeModel(part), options);
    const prefix = new FrozenPrefix(frontier, session, cache, { ...image, dims }, outputs, chunk);
    if (await prefix.keepsSamplesApart()) return prefix;
    await prefix.dispose();
    return undefined;
  }

  /** Activations of a batch, as feeds of what follows, and the time in the runtime. Units: milliseconds. */
  async run(images: RunTensor, samples: readonly SampleId[]): Promise<{ feeds: Feeds; runMs: number }> {
    const pixels = sizeOf(this.image.dims);
    const keys = samples.map((id) => `${this.image.dims.join("x")}/${typeof id}/${id}`);
    const found = keys.map((key) => this.cache.find(key));
    const missing = found.flatMap((arrays, i) => (arrays ? [] : [i]));
    let runMs = 0;
    for (let start = 0; start < missing.length; start += this.chunk) {
      const members = missing.slice(start, start + this.chunk);
      const computed = await this.compute(members.map((i) => images.data.subarray(i * pixels, (i + 1) * pixels)));
      runMs += computed.runMs;
      members.forEach((i, at) => {
        found[i] = computed.arrays[at]!;
        this.cache.add(keys[i]!, found[i]);
      });
    }
    const feeds = this.outputs.map(({ name, dtype, dims }, o): [string, RunTensor] => {
      const data = createArray(dtype, samples.length * sizeOf(dims));
      found.forEach((arrays, i) => put(data, arrays![o]!, i * sizeOf(dims)));
      return [name, { dtype, dims: [samples.length, ...dims], data }];
    });
    return { feeds: Object.fromEntries(feeds), runMs };
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  /** The outputs of up to one chunk of samples, each on its own. */
  private async compute(samples: readonly NumericArray[]): Promise<{ arrays: NumericArray[][]; runMs: number }> {
    const { name, dtype, dims } = this.image;
    const data = createArray(dtype, this.chunk * sizeOf(dims));
    samples.forEach((sample, i) => put(data, sample, i * sample.length));
    const { outputs, runMs } = await this.session.run(
      { [name]: { dtype, dims: [this.chunk, ...dims], data } },
      { fetches: this.outputs.map(({ name }) => name) },
    );
    const arrays = samples.map((_, i) =>
      this.outputs.map((output) => {
        const size = sizeOf(output.dims);
        return outputs[output.name]!.data.slice(i * size, (i + 1) * size);
      }),
    );
    return { arrays, runMs };
  }

  /** Runs noise twice, half of it at other places among other samples, and compares to the bit. */
  private async keepsSamplesApart(): Promise<boolean> {
    if (this.chunk === 1) return true;
    const random = new Random(0);
    const size = sizeOf(this.image.dims);
    const noise = Array.from({ length: 2 * this.chunk }, () => {
      const sample = createArray(this.image.dtype, size);
      for (let i = 0; i < size; i++) sample[i] = random.normal();
      return sample;
    });
    const half = Math.floor(this.chunk / 2);
    const first = await this.compute(noise.slice(0, this.chunk));
    const second = await this.compute([...noise.slice(this.chunk + half), ...noise.slice(0, half).reverse()]);
    return noise.slice(0, half).every((_, i) => {
      const other = second.arrays[this.chunk - 1 - i]!;
      return first.arrays[i]!.every((array, o) => array.every((value, at) => Object.is(value, other[o]![at])));
    });
  }
}

function bindChunk(
  model: Model,
  image: ValueInfo,
  dims: readonly number[],
  frontier: readonly string[],
): Model | undefined {
  try {
    const part = modelUpTo(inferShapes(model, { inputDims: { [image.name]: dims } }), frontier);
    return part.graph.outputs.every((output) => output.dims?.[0] === dims[0]) ? part : undefined;
  } catch (error) {
    if (isLimberError(error, "shape.mismatch")) return undefined; // an inner size follows from a batch of another size
    throw error;
  }
}

function put(target: NumericArray, source: NumericArray, at: number): void {
  (target as Float32Array).set(source as Float32Array, at);
}
