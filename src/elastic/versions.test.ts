import { expect, test } from "vitest";
import { tinyNetwork } from "../../test/helpers/tiny.js";
import { tensorOf, toNumbers } from "../base/index.js";
import { addGates, choose, type Model, SurrogateCutter } from "../graph/index.js";
import { MasterVersions } from "./versions.js";

const master = addGates(tinyNetwork(), { initial: "he" });
const cutter = new SurrogateCutter(master);

const trained = (model: Model): Model => {
  const initializers = [...model.graph.initializers].map(([name, value]) => {
    const moved =
      value.dtype === "float32"
        ? tensorOf(
            "float32",
            value.dims,
            toNumbers(value).map((v) => v + 1),
          )
        : value;
    return [name, moved] as const;
  });
  return { ...model, graph: { ...model.graph, initializers: new Map(initializers) } };
};

test("versions are undone one by one, the latest first, as far back as they are kept", () => {
  const versions = new MasterVersions(master, 2);
  const seen = [versions.current];
  for (const seed of [1, 2, 3]) {
    const scores = cutter.scoresBy(versions.current, "random", seed);
    const surrogate = cutter.cut(versions.current, choose(scores, 0.5, { boosted: false }));
    versions.feed(surrogate, trained(surrogate.model), 0.3);
    seen.push(versions.current);
  }
  expect(versions.undoable).toBe(2);
  expect([versions.undo(), versions.current]).toEqual([true, seen[2]]);
  expect([versions.undo(), versions.current]).toEqual([true, seen[1]]);
  expect(versions.undo()).toBe(false);
  expect(seen[1]).not.toEqual(seen[0]);
});

test("a version that brings nothing is none", () => {
  const versions = new MasterVersions(master);
  const surrogate = cutter.cut(master, choose(cutter.scoresBy(master, "l1"), 0.5, { boosted: false }));
  versions.feed(surrogate, trained(surrogate.model), 0);
  expect([versions.current, versions.undoable]).toEqual([master, 0]);
});
