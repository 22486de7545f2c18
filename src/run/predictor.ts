import { bytesOf, createArray, formatShape, invariant, LimberError, sizeOf } from "../base/index.js";
import { type Dim, type Model, writeModel } from "../graph/index.js";
import type { Machine, RunTensor, Session, SessionOptions } from "./session.js";

/** A model that only predicts, its weights inside of the session, where ONNX Runtime folds and packs them. */
export class Predictor implements AsyncDisposable {
  private constructor(
    private readonly session: Session,
    private readonly input: Model["graph"]["inputs"][number],
    private readonly output: string,
    private readonly outputBatch: Dim | undefined,
  ) {}

  static async create(
    machine: Machine,
    model: Model,
    { threads, optimization }: SessionOptions = {},
  ): Promise<Predictor> {
    const input = model.graph.inputs.find((v) => !model.graph.initializers.has(v.name));
    const output = model.graph.outputs[0];
    invariant(input && output, "a model has an image input and an output");
    return new Predictor(
      await machine.createSession(writeModel(model), { threads, optimization }),
      input,
      output.name,
      output.dims?.[0],
    );
  }

  /**
   * The first output for one batch, and the time in the runtime. Where the model fixes its batch, fewer images will do: the rest
   * is filled with zeros, and its rows of the output are cut off.
   * Shapes: images as the model's input, usually [N, C, H, W]. Throws: `shape.mismatch`, `run.failed`.
   */
  async predict(images: RunTensor): Promise<{ output: RunTensor; runMs: number }> {
    const whole = this.fill(images);
    checkImages(this.input, whole);
    const { outputs, runMs } = await this.session.run({ [this.input.name]: whole }, { fetches: [this.output] });
    const output = outputs[this.output]!;
    return { output: whole === images ? output : firstRows(output, images.dims[0]!), runMs };
  }

  private fill(images: RunTensor): RunTensor {
    const batch = this.input.dims?.[0];
    const isShort = typeof batch === "number" && images.dims[0]! < batch && this.outputBatch === batch;
    if (!isShort) return images;
    const dims = [batch, ...images.dims.slice(1)];
    const filled = { dtype: images.dtype, dims, data: createArray(images.dtype, sizeOf(dims)) };
    bytesOf(filled).set(bytesOf(images));
    return filled;
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

function firstRows({ dtype, dims, data }: RunTensor, rows: number): RunTensor {
  const shorter = [rows, ...dims.slice(1)];
  return { dtype, dims: shorter, data: data.slice(0, sizeOf(shorter)) };
}

/** Throws: `shape.mismatch` when images do not fit the input of a model. */
export function checkImages({ name, dims, dtype }: Model["graph"]["inputs"][number], images: RunTensor): void {
  const fits =
    !dims ||
    (dims.length === images.dims.length && dims.every((d, i) => typeof d === "string" || d === images.dims[i]));
  if (fits && dtype === images.dtype) return;
  const message = `input "${name}": ${dtype} ${formatShape(dims ?? [])}, got ${images.dtype} ${formatShape(images.dims)}; check the preprocessing's width and height`;
  throw new LimberError("shape.mismatch", message, { input: name, expected: dims, got: images.dims });
}
