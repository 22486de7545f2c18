import { readFile } from "node:fs/promises";
import { LimberError } from "../../base/index.js";
import { describePlan, parsePlanRequest, type Planner, PLANNER_NAMES, PLANNERS } from "../../schedule/index.js";
import { defineCommand } from "../command.js";

/** `plan`: who gets how much of a device, and why. */
export const plan = defineCommand({
  name: "plan",
  summary: "Share a device among apps: how many filters each keeps, how long each trains, and why",
  args: {
    request: { help: "a JSON file of the device, the apps and the scores expected of them (docs/scheduler.md)" },
  },
  flags: {
    planner: {
      kind: "text",
      choices: PLANNER_NAMES,
      default: "filterGrained",
      help: `who decides: ${PLANNER_NAMES.join(", ")}`,
    },
  },
  examples: ["plan docs/examples/plan.json", "plan docs/examples/plan.json --planner uniform --json"],
  async run({ args, flags }) {
    const request = parsePlanRequest(await readJson(args.request));
    const planner: Planner = PLANNERS[flags.planner];
    const made = planner.plan(request);
    return { json: { ...made }, text: describePlan(made, request) };
  },
});

/** Throws: `io.not-found`, `data.invalid`. */
async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new LimberError(
      "io.not-found",
      `plan request "${path}": a file, got none; check the path`,
      { path },
      { cause },
    );
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = `plan request "${path}": JSON, got ${(cause as Error).message}; correct the file`;
    throw new LimberError("data.invalid", message, { path }, { cause });
  }
}
