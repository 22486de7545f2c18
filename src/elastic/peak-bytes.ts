import { bytesPerElement, sizeOf } from "../base/index.js";
import { buildStep, type Graph, inferShapes, type Model, type StepOptions, type TensorType } from "../graph/index.js";

/** Ops whose output is their first input under another shape. */
const VIEWS: ReadonlySet<string> = new Set(["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"]);

/** Of one training step, or of a forward pass where the plan trains nothing. Shapes: images [N, C, H, W]. */
export function peakStepBytes(model: Model, plan: StepOptions, imageDims: readonly number[]): number {
  const input = model.graph.inputs.find(({ name }) => !model.graph.initializers.has(name))!;
  const step = buildStep(inferShapes(model, { inputDims: { [input.name]: imageDims } }), plan);
  return peakGraphBytes(step.model.graph, new Set(step.state.map(({ output }) => output)));
}

/**
 * The largest sum of what a graph holds at a time: constants and inputs throughout, each other value from the node that makes it to the
 * last that reads it. `inPlace` are outputs that are written over inputs. Workspaces of kernels are not in it, nor is what the runtime
 * keeps of blocks that it has freed: it is what the graph cannot do without in this order of nodes.
 */
export function peakGraphBytes(
  { nodes, initializers, inputs, outputs, types }: Graph,
  inPlace: ReadonlySet<string> = new Set(),
): number {
  const known = new Map<string, TensorType>([
    ...types,
    ...[...inputs, ...outputs].map((value) => [value.name, value] as const),
  ]);
  const owners = new Map<string, string>();
  const ownerOf = (name: string): string => owners.get(name) ?? name;
  const lastReader = new Map<string, number>();
  nodes.forEach((node, i) => {
    if (VIEWS.has(node.op)) owners.set(node.outputs[0]!, ownerOf(node.inputs[0]!));
    for (const name of node.inputs) lastReader.set(ownerOf(name), i);
  });
  for (const { name } of outputs) lastReader.set(ownerOf(name), Infinity);
  const held = new Map<string, number>();
  let live = weightBytes({ initializers });
  for (const { name, ...type } of inputs) if (!initializers.has(name)) live += bytesOfType(type);
  let peak = live;
  nodes.forEach((node, i) => {
    for (const name of node.outputs.filter((each) => each !== "" && !owners.has(each) && !inPlace.has(each)))
      held.set(name, bytesOfType(known.get(name)));
    for (const name of node.outputs) live += owners.has(name) ? 0 : (held.get(name) ?? 0);
    peak = Math.max(peak, live);
    for (const name of new Set([...node.inputs, ...node.outputs].map(ownerOf))) {
      if ((lastReader.get(name) ?? i) > i) continue;
      live -= held.get(name) ?? 0;
      held.delete(name);
    }
  });
  return peak;
}

/** All constants of a model. */
export const weightBytes = ({ initializers }: Pick<Graph, "initializers">): number =>
  [...initializers.values()].reduce((sum, tensor) => sum + bytesOfType(tensor), 0);

function bytesOfType(type: TensorType | undefined): number {
  const dims = type?.dims?.flatMap((dim) => (typeof dim === "number" ? [dim] : []));
  return type && dims && dims.length === type.dims!.length ? sizeOf(dims) * bytesPerElement(type.dtype) : 0;
}
