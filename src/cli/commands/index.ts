import type { Command } from "../command.js";
import { adaptCommand } from "./adapt.js";
import { bench } from "./bench.js";
import { corruptCommand } from "./corrupt.js";
import { demo } from "./demo.js";
import { doctor } from "./doctor.js";
import { elastic } from "./elastic.js";
import { evalCommand } from "./eval.js";
import { inspect } from "./inspect.js";
import { line } from "./line.js";
import { master } from "./master.js";
import { patch } from "./patch.js";
import { plan } from "./plan.js";
import { prune } from "./prune.js";
import { trainCommand } from "./train.js";

/** All commands in the order of the help. A new command is one file and one line here. */
export const COMMANDS: readonly Command[] = [
  inspect,
  evalCommand,
  adaptCommand,
  trainCommand,
  prune,
  master,
  elastic,
  line,
  patch,
  plan,
  corruptCommand,
  demo,
  bench,
  doctor,
];
