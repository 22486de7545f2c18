import fc from "fast-check";
import { createArray, type DType, isNumeric, sizeOf, type Tensor, type TensorData } from "../../src/base/index.js";
import {
  type Attribute,
  DTYPE_CODES,
  type Graph,
  type Model,
  type Node,
  shortestFloat,
  type TensorType,
} from "../../src/graph/ir/index.js";

/** A field that may be absent. */
const maybe = (key: string, value: fc.Arbitrary<unknown>): fc.Arbitrary<object> =>
  fc.record({ [key]: value }, { requiredKeys: [] });

/** Plain words, names as exporters write them, and anything else. */
const anyName = fc.oneof(
  fc.stringMatching(/^[a-zA-Z_/:.][\w.:/-]{0,8}$/),
  fc.constantFrom("input", "const", "graph", "_", "nan", "inf", "float32", "a b", "x:", "%", '"', "1", "ü\n#"),
  fc.string({ minLength: 1, maxLength: 5, unit: "binary" }),
);
const text = fc.oneof(fc.string({ maxLength: 8 }), anyName);
const dtype = fc.constantFrom(...(Object.keys(DTYPE_CODES) as DType[]));
const bytes = fc.uint8Array({ maxLength: 12 });
const dims = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 });
const integer = fc.oneof(fc.maxSafeInteger(), fc.constant(2 ** 63), fc.constant(-(2 ** 63)));
const float = fc.oneof(fc.float(), fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 1e-5, 3)).map(shortestFloat);

const type: fc.Arbitrary<TensorType> = fc.record({
  dtype,
  dims: fc.option(fc.array(fc.oneof(fc.nat(), fc.constant(""), anyName), { maxLength: 4 }), { nil: undefined }),
});

function dataOf(dtype: DType, count: number): fc.Arbitrary<TensorData> {
  const exactly = { minLength: count, maxLength: count };
  if (!isNumeric(dtype))
    return fc.array(
      fc.oneof(
        bytes,
        text.map((s) => new TextEncoder().encode(s)),
      ),
      exactly,
    );
  const sample = createArray(dtype, 1);
  const element: fc.Arbitrary<number | bigint> =
    dtype === "float32"
      ? fc.float()
      : dtype === "float64"
        ? fc.double()
        : sample instanceof BigInt64Array || sample instanceof BigUint64Array
          ? fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n })
          : fc.integer();
  return fc.array(element, exactly).map((values) => {
    const data = createArray(dtype, count);
    for (const [i, value] of values.entries()) data[i] = value;
    return data;
  });
}

const tensor: fc.Arbitrary<Tensor> = fc
  .tuple(dtype, dims)
  .chain(([dtype, dims]) => dataOf(dtype, sizeOf(dims)).map((data) => ({ dtype, dims, data })));

const attribute = (depth: number): fc.Arbitrary<Attribute> =>
  fc.oneof(
    integer.map((value) => ({ kind: "int" as const, value })),
    float.map((value) => ({ kind: "float" as const, value })),
    text.map((value) => ({ kind: "string" as const, value })),
    fc.array(integer, { maxLength: 3 }).map((value) => ({ kind: "ints" as const, value })),
    fc.array(float, { maxLength: 3 }).map((value) => ({ kind: "floats" as const, value })),
    fc.array(text, { maxLength: 3 }).map((value) => ({ kind: "strings" as const, value })),
    tensor.map((value) => ({ kind: "tensor" as const, value })),
    bytes.map((value) => ({ kind: "opaque" as const, value })),
    ...(depth === 0 ? [] : [graph(depth - 1).map((value) => ({ kind: "graph" as const, value }))]),
  );

const dictionary = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.dictionary(anyName, value, { maxKeys: 3, noNullPrototype: true });
const mapOf = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Map<string, T>> =>
  fc.uniqueArray(fc.tuple(anyName, value), { maxLength: 3, selector: ([key]) => key }).map((list) => new Map(list));

function node(names: readonly string[], outputs: readonly string[], depth: number): fc.Arbitrary<Node> {
  return fc
    .tuple(
      fc.record({
        op: anyName,
        domain: fc.oneof(fc.constant(""), anyName),
        name: text,
        inputs: fc.array(fc.constantFrom("", ...names), { maxLength: 3 }),
        attributes: dictionary(attribute(depth)),
      }),
      maybe("docString", text),
      maybe("metadata", dictionary(text)),
      maybe("opaque", bytes),
    )
    .map(([node, ...extras]) => Object.assign({ ...node, outputs }, ...extras) as Node);
}

/** Graphs of any content: names are unique where the IR wants it, but ops and shapes mean nothing. */
function graph(depth: number): fc.Arbitrary<Graph> {
  return fc
    .uniqueArray(anyName, { minLength: 6, maxLength: 10 })
    .chain((names) => {
      const value = (name: string) =>
        fc.tuple(type, maybe("docString", text)).map(([type, doc]) => ({ name, ...type, ...doc }));
      const [a, b, c, d, e, ...others] = names as [string, string, string, string, string, ...string[]];
      return fc.tuple(
        fc.record({
          name: text,
          inputs: fc.tuple(value(a), value(b)),
          outputs: fc.tuple(value(d)),
          nodes: fc.tuple(node([a, b, c], [d, "", e], depth), node([d, e], [], depth), node([], others, depth)),
          initializers: fc.tuple(tensor, tensor).map(
            ([x, y]) =>
              new Map([
                [c, x],
                [b, y],
              ]),
          ),
          types: fc.tuple(type, type, mapOf(type)).map(([x, y, rest]) => new Map([...rest, [d, x], [c, y]])),
        }),
        maybe("docString", text),
        maybe("opaque", bytes),
      );
    })
    .map(([graph, ...extras]) => Object.assign(graph, ...extras) as Graph);
}

/** Models with every kind of attribute, element type and optional field, and names that are hard to write. */
export const randomModel: fc.Arbitrary<Model> = fc
  .tuple(
    fc.record({
      graph: graph(2),
      opsets: mapOf(fc.nat()),
      irVersion: fc.nat(),
      producerName: text,
      producerVersion: text,
      metadata: mapOf(text),
    }),
    maybe("domain", text),
    maybe("modelVersion", fc.nat()),
    maybe("docString", text),
    maybe("opaque", bytes),
  )
  .map(([model, ...extras]) => Object.assign(model, ...extras) as Model);
