import { sideBySide } from "../base/index.js";
import type { Machine } from "../run/node.js";

export interface MachineLanes {
  /** Items under way at a time. */
  readonly jobs: number;
  readonly open: () => Machine | Promise<Machine>;
}

/** Does the work of all items, each on a machine that nothing else uses meanwhile. Throws: what the first to fail throws, or `open`. */
export async function onMachines<Item>(
  items: readonly Item[],
  { jobs, open }: MachineLanes,
  work: (item: Item, machine: Machine) => Promise<void>,
): Promise<void> {
  const machines: Machine[] = [];
  try {
    while (machines.length < Math.min(jobs, items.length)) machines.push(await open());
    await sideBySide(items, machines, work);
  } finally {
    for (const machine of machines) await machine[Symbol.asyncDispose]();
  }
}
