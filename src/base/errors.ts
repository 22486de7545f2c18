/** Every failure that Limber reports on purpose. Codes are stable: programs may switch on them, messages may change. */
export const ERROR_CODES = [
  "config.invalid", // an option, flag or argument has a value that cannot be used
  "data.invalid", // a data set, image or label file does not say what it should
  "graph.cyclic", // nodes depend on each other in a circle
  "graph.invalid", // a graph breaks a rule of the IR
  "gradient.missing", // a trainable value is reached only through an op without a gradient
  "io.full", // no space left while writing
  "io.not-found", // a file or folder is not there
  "io.failed", // any other failure of the file system
  "limit.exceeded", // an input is larger than the limits allow
  "method.unsuitable", // the adaptation method does not fit the model
  "model.external-data", // weights in other files, refused or outside of the model's folder
  "model.malformed", // bytes that are not a readable ONNX model
  "op.unsupported", // an operator, or a form of it, that Limber does not know
  "patch.parent", // a patch was made for another model
  "provider.refused", // an execution provider is not there or computes wrong results
  "run.failed", // the runtime refused or failed
  "shape.mismatch", // dimensions do not fit together
  "shape.unknown", // a shape is needed and not known
  "train.non-finite", // a loss, gradient or weight became NaN or infinite; the step was refused
  "aborted", // the caller asked to stop
  "internal", // a broken promise inside Limber: please report it
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];
export type ErrorContext = Readonly<Record<string, unknown>>;

const BRAND = Symbol.for("limber.error");

/**
 * An error with a stable `code` and JSON-safe `context`.
 * Message form: `subject: expectation, got value; next step`, lower case, shapes as `[2,3]`.
 */
export class LimberError extends Error {
  readonly [BRAND] = true;
  override readonly name = "LimberError";
  readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.context = context;
  }

  toJSON(): { code: ErrorCode; message: string; context: ErrorContext } {
    return { code: this.code, message: this.message, context: this.context };
  }
}

/** True for a `LimberError` of any copy of this package; optionally of one code. */
export function isLimberError(value: unknown, code?: ErrorCode): value is LimberError {
  const branded = typeof value === "object" && value !== null && BRAND in value;
  return branded && (code === undefined || (value as LimberError).code === code);
}

/** Narrows away the impossible; a failure here is a defect of Limber. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new LimberError("internal", `internal: ${message}`);
}

/** Throws `aborted` when the signal has fired. */
export function throwIfAborted(signal: { readonly aborted: boolean; readonly reason?: unknown } | undefined): void {
  if (signal?.aborted)
    throw new LimberError("aborted", "stopped: the caller asked to stop", {}, { cause: signal.reason });
}
