import { describe, expect, it } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { scalar } from "../../base/index.js";
import type { Node } from "../ir/index.js";
import { readGelu } from "./gelu.js";

/** What each exporter writes for Gelu(x) as "y"; the numbers are initializers. */
const SPELLINGS: Record<string, readonly Node[]> = {
  "PyTorch: (x · (1 + erf(x/√2))) · ½": [
    node("Div", ["x", "root"], ["scaled"]),
    node("Erf", ["scaled"], ["erf"]),
    node("Add", ["erf", "one"], ["sum"]),
    node("Mul", ["x", "sum"], ["product"]),
    node("Mul", ["product", "half"], ["y"]),
  ],
  "(½ · x) · (1 + erf(√½ · x))": [
    node("Mul", ["inverse", "x"], ["scaled"]),
    node("Erf", ["scaled"], ["erf"]),
    node("Add", ["one", "erf"], ["sum"]),
    node("Mul", ["half", "x"], ["product"]),
    node("Mul", ["product", "sum"], ["y"]),
  ],
  "x · (½ · (1 + erf(√½ · x)))": [
    node("Mul", ["x", "inverse"], ["scaled"]),
    node("Erf", ["scaled"], ["erf"]),
    node("Add", ["erf", "one"], ["sum"]),
    node("Mul", ["sum", "half"], ["product"]),
    node("Mul", ["x", "product"], ["y"]),
  ],
};

const numbers = { root: Math.SQRT2, inverse: Math.SQRT1_2, one: 1, half: 0.5 };

function read(nodes: readonly Node[], changed: Partial<typeof numbers> = {}): readonly string[] {
  const values = Object.entries({ ...numbers, ...changed }).map(([name, n]) => [name, scalar("float32", n)] as const);
  const { graph } = modelOf({
    inputs: { x: [2, 3], z: [2, 3] },
    outputs: { y: [2, 3] },
    initializers: Object.fromEntries(values),
    nodes,
  });
  const last = readGelu(graph).nodes.at(-1)!;
  return [last.op, ...last.inputs, ...last.outputs];
}

describe("a Gelu that is spelled out", () => {
  it.each(Object.entries(SPELLINGS))("is read as one op: %s", (_, nodes) => {
    expect(read(nodes)).toEqual(["Gelu", "x", "y"]);
  });

  it("is found where x itself is a product", () => {
    const [first, ...rest] = SPELLINGS["(½ · x) · (1 + erf(√½ · x))"]!;
    const renamed = [first!, ...rest].map((n) => ({ ...n, inputs: n.inputs.map((i) => (i === "x" ? "xz" : i)) }));
    expect(read([node("Mul", ["x", "z"], ["xz"]), ...renamed])).toEqual(["Gelu", "xz", "y"]);
  });

  it.each(["root", "one", "half"] as const)("stays as it is with another number in place of %s", (name) => {
    expect(read(Object.values(SPELLINGS)[0]!, { [name]: 0.75 })[0]).toBe("Mul");
  });

  it("stays as it is where another value is multiplied than the one in the error function", () => {
    const nodes = Object.values(SPELLINGS)[0]!.with(3, node("Mul", ["z", "sum"], ["product"]));
    expect(read(nodes)[0]).toBe("Mul");
  });
});
