import { formatShape, invariant, LimberError } from "../base/index.js";
import { type Model, writeModel } from "../graph/index.js";
import type { Machine, RunTensor, Session, SessionOptions } from "./session.js";

/** A model that only predicts, its weights inside of the session, where ONNX Runtime folds and packs them. */
export class Predictor {
  private constructor(
    private readonly session: Session,
    private readonly input: Model["graph"]["inputs"][number],
    private readonly output: string,
  ) {}

  static async create(
    machine: Machine,
    model: Model,
    { threads, optimization }: SessionOptions = {},
  ): Promise<Predictor> {
    const input = model.graph.inputs.find((v) => !model.graph.initializers.has(v.name));
    invariant(input, "a model has an image input");
    return new Predictor(
      await machine.createSession(writeModel(model), { threads, optimization }),
      input,
      model.graph.outputs[0]!.name,
    );
  }

  /**
   * The first output for one batch, and the time in the runtime.
   * Shapes: images as the model's input, usually [N, C, H, W]. Throws: `shape.mismatch`, `run.failed`.
   */
  async predict(images: RunTensor): Promise<{ output: RunTensor; runMs: number }> {
    checkImages(this.input, images);
    const { outputs, runMs } = await this.session.run({ [this.input.name]: images }, { fetches: [this.output] });
    return { output: outputs[this.output]!, runMs };
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }
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
