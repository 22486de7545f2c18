import { type NumericArray, sizeOf } from "../../../base/index.js";
import type { Model } from "../../ir/index.js";
import { parametersOf } from "../parameters.js";
import { prepareModel } from "../prepare.js";
import type { ChannelGroup } from "./groups.js";
import type { ChannelSelection } from "./selection.js";

/** The model with zeros in place of the weights that a selection removes: what it computes, the pruned model has to compute. */
export function silenceChannels(source: Model, groups: readonly ChannelGroup[], selection: ChannelSelection): Model {
  const model = prepareModel(source);
  const trained = new Set(parametersOf(model).map(({ name }) => name));
  const initializers = new Map(model.graph.initializers);
  for (const { id, members } of groups) {
    const kept = new Set(selection[id] ?? members[0]!.indices.keys());
    for (const { initializer, axis, indices } of members) {
      const gone = new Set(indices.flatMap((positions, unit) => (kept.has(unit) ? [] : positions)));
      if (gone.size === 0 || !trained.has(initializer)) continue;
      const tensor = initializers.get(initializer)!;
      const data = (tensor.data as NumericArray).slice();
      const inner = sizeOf(tensor.dims.slice(axis + 1));
      for (let i = 0; i < data.length; i++) if (gone.has(Math.floor(i / inner) % tensor.dims[axis]!)) data[i] = 0;
      initializers.set(initializer, { ...tensor, data });
    }
  }
  return { ...model, graph: { ...model.graph, initializers } };
}
