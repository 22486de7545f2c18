/**
 * Does the work of all items, one at a time on each lane, whichever is free; items begin in their order. Once one fails no other begins, and what
 * it threw is thrown when those under way have ended.
 */
export async function sideBySide<Item, Lane>(
  items: Iterable<Item>,
  lanes: readonly Lane[],
  work: (item: Item, lane: Lane) => Promise<void>,
): Promise<void> {
  const waiting = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const drive = async (lane: Lane): Promise<void> => {
    for (let next = waiting.next(); !next.done && failures.length === 0; next = waiting.next())
      await work(next.value, lane).catch((error: unknown) => failures.push(error));
  };
  await Promise.all(lanes.map(drive));
  if (failures.length > 0) throw failures[0];
}
