import { LimberError } from "../../base/index.js";
import type { Method } from "../method.js";
import { bn } from "./bn.js";
import { cotta } from "./cotta.js";
import { cua } from "./cua.js";
import { delta } from "./delta.js";
import { eata, eta } from "./eata.js";
import { finetune } from "./finetune.js";
import { lame } from "./lame.js";
import { meanTeacher } from "./mean-teacher.js";
import { rotta } from "./rotta.js";
import { sar } from "./sar.js";
import { shot } from "./shot.js";
import { shotIm } from "./shot-im.js";
import { source } from "./source.js";
import { t3a } from "./t3a.js";
import { tent } from "./tent.js";

export { bn, cotta, cua, delta, eata, eta, finetune, lame, meanTeacher, rotta, sar, shot, shotIm, source, t3a, tent };

/** All methods by name. A new method is one file and one line here; the contract suite picks it up. */
export const METHODS: readonly Method[] = [
  ...[source, bn, tent, shotIm, eta, eata, delta, sar, shot, t3a, lame],
  ...[cotta, rotta, meanTeacher, cua, finetune],
];

/** Throws: `config.invalid`, listing the names. */
export function findMethod(name: string): Method {
  const method = METHODS.find((m) => m.name === name);
  if (method) return method;
  throw new LimberError("config.invalid", `method: one of ${METHODS.map((m) => m.name).join(", ")}, got "${name}"`, {
    method: name,
  });
}
