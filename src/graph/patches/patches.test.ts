import { describe, expect, test } from "vitest";
import { maxDifference, relativeDistance } from "../../../test/helpers/parity.js";
import { Random, sizeOf, type Tensor, tensorOf } from "../../base/index.js";
import { buildStep, crossEntropy, findFrontier, sgd } from "../autodiff/index.js";
import { checkGraph, type Model } from "../ir/index.js";
import { BACKBONES, type BackboneName, buildNetwork, buildTaskNetwork, type NetworkTask } from "../networks/index.js";
import { readModel, writeModel } from "../onnx/index.js";
import { type ReferenceTensor, toReference } from "../ops/index.js";
import { inferShapes, parametersOf, prepareModel } from "../passes/index.js";
import { evaluate } from "../reference/index.js";
import {
  attachLiteResidual,
  attachPatches,
  attachSideNet,
  type Attached,
  detachPatches,
  findPatches,
  mergePatches,
  PATCH_FORMS,
  type PatchForm,
  patchParameters,
  type PatchPoint,
  splitBackbone,
} from "./index.js";

const NAMES = Object.keys(BACKBONES) as BackboneName[];
const TASKS: readonly NetworkTask[] = ["classification", "detection", "segmentation"];

const build = (backbone: BackboneName, task: NetworkTask = "classification"): Model =>
  buildTaskNetwork({
    backbone,
    task,
    imageSize: ["vgg", "mobilenetv2"].includes(backbone) ? 32 : 16,
    classes: 3,
    width: 0.125,
    depth: backbone === "vit" ? 3 : undefined,
    seed: 2,
  });

const attach = (model: Model, form?: PatchForm): Model => attachPatches(model, splitBackbone(model), { seed: 4, form });

/** Every way to put branches beside frozen layers. */
const KINDS: Readonly<Record<string, (model: Model, points: readonly PatchPoint[]) => Attached>> = {
  ...Object.fromEntries(
    PATCH_FORMS.map((form) => [
      `${form} patches`,
      (model: Model) => {
        const patched = attach(model, form);
        return { model: patched, parameters: patchParameters(patched) };
      },
    ]),
  ),
  "lite residual": (model, points) => attachLiteResidual(model, points, { seed: 4 }),
  "side net": (model, points) => attachSideNet(model, points, { seed: 4 }),
};

const image = ({ graph }: Model): Tensor => {
  const random = new Random(9);
  const dims = [2, ...graph.inputs[0]!.dims!.slice(1).map(Number)];
  return tensorOf(
    "float32",
    dims,
    Array.from({ length: sizeOf(dims) }, () => random.normal()),
  );
};
const outputOf = (model: Model): ReferenceTensor => [...evaluate(model, { input: image(model) }).values()][0]!;

/** The same with other numbers in its zeros, as after some training. */
function trained({ graph, ...model }: Model, parameters: readonly string[]): Model {
  const random = new Random(6);
  const drawn = parameters.map((name) => {
    const { dims } = graph.initializers.get(name)!;
    return [
      name,
      tensorOf(
        "float32",
        dims,
        Array.from({ length: sizeOf(dims) }, () => random.normal(0, 0.4)),
      ),
    ] as const;
  });
  return { ...model, graph: { ...graph, initializers: new Map([...graph.initializers, ...drawn]) } };
}

describe.each(NAMES)("on %s", (backbone) => {
  const source = build(backbone);

  test.each(Object.keys(KINDS))("%s change nothing at first, to the bit, and something once they train", (kind) => {
    const { model, parameters } = KINDS[kind]!(source, splitBackbone(source));
    checkGraph(model.graph);
    const expected = outputOf(source);
    expect(outputOf(model)).toEqual(expected);
    const stored = (each: Model): Model => prepareModel(readModel(writeModel(each)));
    expect(outputOf(stored(model))).toEqual(outputOf(stored(source)));
    const own = parameters.filter((name) => !source.graph.initializers.has(name));
    expect(own.length).toBeGreaterThan(2);
    expect(maxDifference(outputOf(trained(model, own)).data, expected.data)).toBeGreaterThan(1e-3);
    const known = new Set(parametersOf(model).map(({ name }) => name));
    expect(parameters.filter((name) => !known.has(name))).toEqual([]);
  });

  const everyTask = TASKS.flatMap((task) => PATCH_FORMS.map((form) => [form, task] as const));
  test.each(everyTask)("%s patches come off a network for %s: the bytes are those without them", (form, task) => {
    const model = build(backbone, task);
    const bytes = writeModel(model);
    const patched = attach(model, form);
    expect(findPatches(patched).map(({ group }) => group)).toEqual([1, 2, 3]);
    expect(Buffer.compare(writeModel(detachPatches(patched)), bytes)).toBe(0);
    const reread = readModel(writeModel(patched));
    expect(Buffer.compare(writeModel(detachPatches(reread)), bytes)).toBe(0);
  });

  test.each(PATCH_FORMS)("merged %s patches compute the same, and leave nothing to detach", (form) => {
    const patched = attach(source, form);
    const full = trained(patched, patchParameters(patched));
    const merged = mergePatches(full);
    checkGraph(merged.graph);
    expect(relativeDistance(outputOf(merged).data, outputOf(full).data)).toBeLessThan(1e-4); // weights are rounded once more
    expect(findPatches(merged)).toEqual([]);
    expect(merged.metadata).toEqual(source.metadata);
    const { nodes } = (form === "residual" ? full : source).graph;
    if (form !== "joint") expect(merged.graph.nodes).toHaveLength(nodes.length - (form === "residual" ? 3 : 0));
  });
});

describe("gradients", () => {
  const cases = (["resnet", "vit"] as const).flatMap((backbone) =>
    Object.keys(KINDS).map((kind) => [kind, backbone] as const),
  );

  test.each(cases)("of %s on %s are those of central differences", (kind, backbone) => {
    const source = prepareModel(build(backbone));
    const { model, parameters } = KINDS[kind]!(source, splitBackbone(source));
    const own = parameters.filter((name) => !source.graph.initializers.has(name));
    const train = { loss: crossEntropy(), optimizer: sgd(), parameters: own };
    const step = buildStep(inferShapes(trained(model, own), { batch: 2 }), { statistics: "fixed", train });
    const feeds = new Map<string, ReferenceTensor>([
      [step.inputs.data[0]!.name, toReference(image(model))],
      [step.inputs.targets!.name, toReference(tensorOf("int64", [2], [0, 2]))],
      [step.inputs.learningRate!, toReference(tensorOf("float32", [], [1]))],
    ]);
    const random = new Random(3);
    const at = new Map(
      step.state.filter(({ role }) => role === "parameter").map(({ input, initial }) => [input, toReference(initial)]),
    );
    for (const { input, role, initial } of step.state) if (role !== "parameter") feeds.set(input, toReference(initial));
    const direction = new Map([...at].map(([name, { data }]) => [name, data.map(() => random.normal())]));
    const run = (t: number): ReadonlyMap<string, ReferenceTensor> => {
      const moved = [...at].map(([name, value]): [string, ReferenceTensor] => [
        name,
        { ...value, data: value.data.map((x, i) => x + t * direction.get(name)![i]!) },
      ]);
      return evaluate(step.model, new Map([...feeds, ...moved]));
    };
    const lossOf = (t: number): number => run(t).get(step.outputs.loss!)!.data[0]!;
    const numeric = (lossOf(1e-6) - lossOf(-1e-6)) / 2e-6;
    const after = run(0);
    const analytic = step.state.reduce((sum, { input, output, role }) => {
      if (role !== "parameter") return sum;
      const moved = after.get(output)!.data;
      return at.get(input)!.data.reduce((total, x, i) => total + (x - moved[i]!) * direction.get(input)![i]!, sum);
    }, 0);
    expect(Math.abs(numeric)).toBeGreaterThan(1e-6);
    expect(Math.abs(analytic / numeric - 1)).toBeLessThan(1e-5);
  });
});

describe("attaching", () => {
  const source = build("resnet");
  const points = splitBackbone(source);

  test.each(PATCH_FORMS)("%s: one group after the other gives what attaching both at once does", (form) => {
    const once = attachPatches(source, points, { form, seed: 4, groups: [2, 3] });
    const last = attachPatches(source, points, { form, seed: 4, groups: [3] });
    const twice = attachPatches(last, points, { form, seed: 4, groups: [2] });
    expect(findPatches(twice)).toEqual(findPatches(once));
    const weightsOf = ({ graph }: Model): unknown => patchParameters(once).map((name) => graph.initializers.get(name));
    expect(weightsOf(twice)).toEqual(weightsOf(once));
    expect(patchParameters(once, [3]).every((name) => name.startsWith("patch.3."))).toBe(true);
    expect(Buffer.compare(writeModel(detachPatches(twice, [2])), writeModel(last))).toBe(0);
  });

  test("names are free: merged patches stay when others come", () => {
    const merged = mergePatches(attach(source));
    const again = attachPatches(merged, points, { seed: 4 });
    expect(findPatches(again).map(({ name }) => name)).toEqual(["patch.1_1", "patch.2_1", "patch.3_1"]);
    expect(Buffer.compare(writeModel(detachPatches(again)), writeModel(merged))).toBe(0);
  });

  test("keeps the border and the metadata of the model", () => {
    const model = attach({ ...source, metadata: new Map([["mine", "1"], ...source.metadata]) });
    expect(model.graph.inputs).toEqual(source.graph.inputs);
    expect(model.graph.outputs).toEqual(source.graph.outputs);
    expect([...model.metadata.keys()]).toEqual(["mine", ...source.metadata.keys(), "limber.patches"]);
  });

  test("a prepared model with patches still gives them back", () => {
    const prepared = prepareModel(attach(source));
    const back = detachPatches(prepared);
    expect(outputOf(back)).toEqual(outputOf(source));
    expect([...back.graph.initializers.keys()].filter((name) => name.startsWith("patch"))).toEqual([]);
  });

  test.each([
    [() => attachPatches(attach(source), points, { groups: [2] }), "config.invalid", "groups without a patch, got 2"],
    [() => attachPatches(source, points, { groups: [4] }), "config.invalid", "groups among 1, 2, 3, got 4"],
    [() => attachPatches(source, points, { kernel: 2 }), "config.invalid", "an odd kernel and a whole rank"],
    [() => attachPatches(source, points, { rank: 0 }), "config.invalid", "got 8, 3 and 0"],
    [
      () => attachPatches(source, [{ ...points[1]!, after: points[1]!.value }], { form: "low-rank" }),
      "method.unsuitable",
      "a group with convolutions or products of its own, got group 2",
    ],
    [
      () => attachPatches({ ...source, opsets: new Map([["", 11]]) }, points),
      "op.unsupported",
      "opset 13 or later, got 11",
    ],
    [
      () => findPatches({ ...source, metadata: new Map([["limber.patches", "[{}]"]]) }),
      "model.malformed",
      "got something else",
    ],
  ])("what cannot be is refused (%#)", (run, code, message) => {
    expect(run).toThrow(message);
    expect(run).toThrow(expect.objectContaining({ code }) as Error);
  });
});

describe("size", () => {
  test("patches have less than 2 % of the numbers of a published network", () => {
    const count = (names: readonly string[], { graph }: Model): number =>
      names.reduce((sum, name) => sum + sizeOf(graph.initializers.get(name)!.dims), 0);
    for (const name of ["resnet20", "resnet18", "mobilenetv2", "vit"]) {
      // A quarter of the width has a sixteenth of the numbers in both.
      const model = buildNetwork(name, { imageSize: 64, classes: 10, width: name === "resnet18" ? 0.25 : 1 });
      const share =
        count(patchParameters(attach(model)), attach(model)) /
        count(
          parametersOf(model).map((p) => p.name),
          model,
        );
      expect(share).toBeLessThan(0.02);
    }
  });
});

describe("a step", () => {
  test("starts at the shallowest patch that trains: what stands in front is frozen", () => {
    const model = inferShapes(prepareModel(attach(build("resnet"))), { batch: 2 });
    const patches = findPatches(model);
    const startOf = (groups: readonly number[]): readonly string[] | undefined => {
      const train = { loss: crossEntropy(), optimizer: sgd(), parameters: patchParameters(model, groups) };
      return findFrontier(model, { statistics: "fixed", train });
    };
    expect(startOf([3])).toEqual([patches[2]!.replaced[0]!.before]);
    expect(startOf([2, 3])).toEqual([patches[1]!.replaced[0]!.before]);
    expect(startOf([1])).toEqual(startOf([1, 2, 3]));
  });
});
