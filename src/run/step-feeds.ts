import { formatShape, LimberError, sameShape } from "../base/index.js";
import type { Step } from "../graph/index.js";
import type { Feeds, RunTensor } from "./session.js";

/** Throws: `shape.mismatch`; `data.invalid`, since the loss takes a class beyond the last one for no class at all. */
export function checkTargets(
  { inputs, targets: kind, ignoredLabel }: Pick<Step, "inputs" | "targets" | "ignoredLabel">,
  classes: number,
  targets: RunTensor,
): void {
  const { name, dtype, dims } = inputs.targets!;
  if (targets.dtype !== dtype || !sameShape(dims ?? [], targets.dims)) {
    const message = `targets "${name}": ${dtype} ${formatShape(dims ?? [])}, got ${targets.dtype} ${formatShape(targets.dims)}`;
    throw new LimberError("shape.mismatch", message, { input: name, expected: dims, got: targets.dims });
  }
  if (kind !== "labels") return;
  for (const value of targets.data) {
    const label = Number(value);
    if ((label >= 0 && label < classes) || label === ignoredLabel) continue;
    const ignored = ignoredLabel === undefined ? "" : `, or ${ignoredLabel} for none`;
    const message = `targets "${name}": classes 0 to ${classes - 1} of the model${ignored}, got ${label}; check the labels`;
    throw new LimberError("data.invalid", message, { label, classes });
  }
}

/** Throws: `config.invalid`, `shape.mismatch`. */
export function extraFeeds({ inputs }: Pick<Step, "inputs">, given: Feeds): Record<string, RunTensor> {
  const wanted = [...inputs.extra.keys()];
  const unknown = Object.keys(given).find((key) => !inputs.extra.has(key));
  if (unknown !== undefined) {
    throw new LimberError("config.invalid", `step: inputs ${wanted.join(", ") || "(none)"}, got "${unknown}" too`);
  }
  return Object.fromEntries(
    Array.from(inputs.extra, ([key, { name, dtype, dims }]) => {
      const value = given[key];
      if (!value) throw new LimberError("config.invalid", `step: an input "${key}" for the method, got none`);
      if (value.dtype === dtype && sameShape(dims ?? [], value.dims)) return [name, value];
      const message = `input "${key}": ${dtype} ${formatShape(dims ?? [])}, got ${value.dtype} ${formatShape(value.dims)}`;
      throw new LimberError("shape.mismatch", message, { input: key, expected: dims, got: value.dims });
    }),
  );
}

export function scalarFeed(value: number | undefined, name: string): Feeds[string] {
  if (value === undefined || !Number.isFinite(value)) {
    throw new LimberError("config.invalid", `step: a finite ${name}, got ${value}`);
  }
  return { dtype: "float32", dims: [], data: Float32Array.of(value) };
}
