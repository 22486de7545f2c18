import { expect, test } from "vitest";
import { sideBySide } from "./side-by-side.js";

const pause = (): Promise<void> => Promise.resolve();

test("all items are worked on in their order, one at a time on each lane", async () => {
  const [begun, busy] = [[] as number[], new Set<string>()];
  await sideBySide([1, 2, 3, 4, 5], ["a", "b"], async (item, lane) => {
    expect(busy.has(lane)).toBe(false);
    busy.add(lane);
    begun.push(item);
    for (let i = 0; i < (item === 1 ? 20 : 1); i++) await pause();
    busy.delete(lane);
  });
  expect(begun).toEqual([1, 2, 3, 4, 5]);
});

test("once one fails no other begins, and those under way end first", async () => {
  const ended: number[] = [];
  const done = sideBySide([1, 2, 3, 4], ["a", "b"], async (item) => {
    if (item === 2) throw new Error("broken");
    for (let i = 0; i < 5; i++) await pause();
    ended.push(item);
  });
  await expect(done).rejects.toThrow("broken");
  expect(ended).toEqual([1]);
});
