import { expect, test } from "vitest";
import { inTurns } from "./turn.js";

test("work in parts leaves turns to others between them, before the first and after the last", async () => {
  const order: string[] = [];
  function* work(): Generator<undefined, string, undefined> {
    order.push("first part");
    yield;
    order.push("second part");
    return "done";
  }
  const others = ["a", "b", "c"];
  const take = (): void => {
    order.push(others.shift()!);
    if (others.length > 0) setTimeout(take);
  };
  setTimeout(take);
  expect(await inTurns(work())).toBe("done");
  expect(order).toEqual(["a", "first part", "b", "second part", "c"]);
});

test("work in parts fails as it throws", async () => {
  function* work(): Generator<undefined, never, undefined> {
    throw new RangeError("no");
  }
  await expect(inTurns(work())).rejects.toThrow(RangeError);
});
