// What the test calls in the page.
import * as graph from "../../../dist/graph/index.js";
import { createWebMachine, Trainer } from "../../../dist/run/web.js";
import { trainOn } from "../workload.mjs";

globalThis.trainAll = async (provider, names) => {
  const machine = createWebMachine({ provider });
  const runs = {};
  for (const name of names) runs[name] = await trainOn({ graph, Trainer }, machine, name);
  await machine[Symbol.asyncDispose]();
  return runs;
};
