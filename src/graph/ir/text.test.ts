import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { randomModel } from "../../../test/helpers/random-model.js";
import { isLimberError, type LimberError, tensorOf, zeros } from "../../base/index.js";
import { attr, type Model, parseModel, printModel } from "./index.js";

const seeded = { seed: 7, numRuns: 50 };

/** A small model with a bit of everything that readers of the text should recognise. */
const small = modelOf({
  inputs: { x: ["batch", 3, 8, 8] },
  outputs: { y: { dtype: "float32", dims: ["batch", ""] } },
  initializers: {
    "conv.weight": zeros("float32", [4, 3, 3, 3]),
    "conv.bias": tensorOf("float32", [4], [0.1, -0, Infinity, 1e-5]),
    shape: tensorOf("int64", [2], [0, -1]),
  },
  nodes: [
    node("Conv", ["x", "conv.weight", "conv.bias"], ["/conv/out"], { strides: attr.ints([1, 1]), group: attr.int(1) }),
    node("Clip", ["/conv/out", "", "limit of range"], ["clipped"], { alpha: attr.float(1), axes: attr.ints([]) }),
    node("Reshape", ["clipped", "shape"], ["y"]),
  ],
});

const errorOf = (run: () => unknown): LimberError => {
  try {
    run();
  } catch (error) {
    if (isLimberError(error)) return error;
    throw error;
  }
  throw new Error("no error");
};

describe("text of a model", () => {
  test("reads as one line per input, weight, node and output", () => {
    expect(printModel(small, { weights: "elided" })).toMatchInlineSnapshot(`
      "ir_version 8
      opset "" 17
      producer "test" ""

      graph "test" {
        input %x: float32[batch,3,8,8]
        const %conv.weight: float32[4,3,3,3] = …
        const %conv.bias: float32[4] = [0.1, -0, inf, 0.00001]
        const %shape: int64[2] = [0, -1]
        %/conv/out = Conv(%x, %conv.weight, %conv.bias) {strides = [1, 1], group = 1} "/conv/out/Conv"
        %clipped = Clip(%/conv/out, _, %"limit of range") {alpha = 1.0, axes: ints = []} "clipped/Clip"
        %y = Reshape(%clipped, %shape) "y/Reshape"
        output %y: float32[batch,?]
      }
      "
    `);
  });

  test("read back is the same model, for random models with every kind of attribute, type and name", () => {
    fc.assert(
      fc.property(randomModel, (model) => {
        expect(parseModel(printModel(model))).toEqual(model);
      }),
      seeded,
    );
  });

  test("damaged anywhere gives `graph.invalid` with a place, or another model, and never another error", () => {
    const text = printModel(small);
    fc.assert(
      fc.property(
        fc.nat(text.length - 1),
        fc.nat(3),
        fc.constantFrom("", "{", '"', "%", "=", "é", "\0"),
        (at, cut, by) => {
          const run = (): Model => parseModel(text.slice(0, at) + by + text.slice(at + cut));
          try {
            run();
          } catch (error) {
            expect(error).toMatchObject({ code: "graph.invalid", context: { line: expect.any(Number) as number } });
          }
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });

  test("keeps NaN, infinities, minus zero and the last bit of float32", () => {
    const values = [NaN, Infinity, -Infinity, -0, 0.1, 1.17549435e-38, 1e-45, 3.4028235e38, 16777217];
    const model = modelOf({ outputs: [], nodes: [], initializers: { w: tensorOf("float32", [9], values) } });
    const text = printModel(model);
    expect(text).toContain("[nan, inf, -inf, -0, 0.1, 1.1754944e-38, 1e-45, 3.4028235e+38, 16777216]");
    expect(parseModel(text)).toEqual(model);
  });

  test("holds many weights as base64", () => {
    const model = modelOf({ outputs: [], nodes: [], initializers: { w: zeros("float32", [500_000]) } });
    const again = parseModel(printModel(model)).graph.initializers.get("w")!;
    expect(again.data).toHaveLength(500_000);
  });

  test("allows comments and any layout", () => {
    const text = `ir_version 8 opset "" 17 # the newest\ngraph "g" { input %x: float32[]\n%y=Relu(%x)output %y : float32[*] }`;
    expect(parseModel(text)).toMatchObject({
      graph: { nodes: [{ op: "Relu", inputs: ["x"], outputs: ["y"] }], outputs: [{ name: "y", dims: undefined }] },
    });
  });

  test("weights that were left out are refused with the way out", () => {
    expect(errorOf(() => parseModel(printModel(small, { weights: "elided" }))).message).toBe(
      'model text, line 7, column 42: weights, which this text leaves out; print the model in full, got "…"',
    );
  });

  const graphOf = (body: string): string => `ir_version 8\ngraph "g" {\n${body}\n}`;
  test.each(
    [
      ["", "line 1, column 1: a field of the model or a graph, got the end"],
      ["graph {}", 'ir_version before the graph, got "{"'],
      [graphOf("input x: float32[]"), 'line 3, column 7: a value such as %x, got "x"'],
      [graphOf("input %x: float8[]"), "an element type (float32,"],
      [graphOf("const %w: float32[2] = [1]"), "2 elements, got 1 in the data"],
      [graphOf("const %w: float32[n] = [1]"), "sizes of 0 or more"],
      [graphOf("const %w: uint8[1] = [256]"), "an element of uint8"],
      [graphOf("const %w: int64[1] = [9223372036854775808]"), "an element of int64"],
      [graphOf('const %w: float32[2] = base64 "AAAA"'), "base64 of 8 bytes"],
      [graphOf('const %w: float32[1] = base64 "!"'), "base64"],
      [graphOf("const %w: float32[] = [1]\nconst %w: float32[] = [1]"), 'line 4, column 7: each const once, got "w"'],
      [graphOf("%y = Op() {a = 1, a = 2}"), "each attribute once"],
      [graphOf("%y = Op() {a = []}"), 'a kind before an empty list, such as ": ints = []"'],
      [graphOf("%y = Op() {a = [1, 2.0]}"), 'line 3, column 20: only ints in this list, got "2.0"'],
      [graphOf("%y = Op("), "a value such as %x"],
      [graphOf('%y = Op() "name'), "a string in JSON quotes on one line"],
      [graphOf("~"), "a name, value, number, string or mark"],
      [graphOf(`%y = Op() {b = ${'graph "" {%y = Op() {b = '.repeat(80)}`), "at most 64 graphs"],
    ].map(([text, message]) => ({ text, message: message! })),
  )("refuses with place and expectation: $message", ({ text, message }) => {
    const error = errorOf(() => parseModel(text!));
    expect(error.code).toBe("graph.invalid");
    expect(error.message).toContain(message);
  });
});
