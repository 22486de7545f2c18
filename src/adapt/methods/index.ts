import { LimberError } from "../../base/index.js";
import type { Method } from "../method.js";
import { bn } from "./bn.js";
import { finetune } from "./finetune.js";
import { source } from "./source.js";
import { tent } from "./tent.js";

export { bn, finetune, source, tent };

/** All methods by name. A new method is one file and one line here; the contract suite picks it up. */
export const METHODS: readonly Method[] = [source, bn, tent, finetune];

/** Throws: `config.invalid`, listing the names. */
export function findMethod(name: string): Method {
  const method = METHODS.find((m) => m.name === name);
  if (method) return method;
  throw new LimberError("config.invalid", `method: one of ${METHODS.map((m) => m.name).join(", ")}, got "${name}"`, {
    method: name,
  });
}
