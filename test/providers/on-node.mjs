// A process of its own, since the loader of Vulkan reads its surroundings at the start: trains all workloads at once, each on a machine
// of the provider that is named, and writes what came out as JSON on stdout.
import * as graph from "../../dist/graph/index.js";
import { createMachine, Trainer } from "../../dist/run/node.js";
import { trainOn, WORKLOADS } from "./workload.mjs";

const [provider] = process.argv.slice(2);
const runs = WORKLOADS.map(async (name) => {
  const machine = createMachine({ provider });
  const run = await trainOn({ graph, Trainer }, machine, name);
  await machine[Symbol.asyncDispose]();
  return [name, run];
});
process.stdout.write(JSON.stringify(Object.fromEntries(await Promise.all(runs))));
