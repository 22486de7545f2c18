import { expect, it } from "vitest";
import { compareOutputs } from "../../../test/helpers/channels.js";
import { feedsOf, pictures, rowOf, scoresOf, shakenMaster } from "../../../test/helpers/gated.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { Random } from "../../base/index.js";
import { choose, feedBack, SurrogateCutter } from "./index.js";

const images = pictures(2);

it.each(["resnet8", "mobilenetv2", "mobilenetv3", "vit", "unet"])(
  "a surrogate of %s with its filters in another order computes the same, and feeds back the same",
  async (name) => {
    const master = shakenMaster(name);
    const image = rowOf(images, 1);
    const cutter = new SurrogateCutter(master);
    const surrogate = cutter.cut(master, choose(await scoresOf(master, image, 0.5), 0.5, { boosted: true }));
    const random = new Random(7);
    const order = Object.fromEntries(
      surrogate.filters.map(({ group, size }) => [group, random.shuffled([...Array(size).keys()])]),
    );
    const reordered = cutter.reorder(surrogate, order);
    expect(reordered.model.graph.nodes).toEqual(surrogate.model.graph.nodes);
    const feeds = feedsOf(master, image);
    const [before, after] = [await runOrt(surrogate.model, feeds), await runOrt(reordered.model, feeds)];
    expect(compareOutputs(before, after)).toBeLessThan(1e-5);
    for (const [i, { group, members }] of surrogate.filters.entries())
      for (const [k, { initializer, axis, indices }] of members.entries()) {
        const [old, now] = [surrogate, reordered].map(({ model }) => model.graph.initializers.get(initializer)!);
        if (old!.dims.length > 1) continue;
        const moved = reordered.filters[i]!.members[k]!;
        expect(moved.axis).toBe(axis);
        const values = order[group]!.flatMap((place) => indices[place]!.map((at) => old!.data[at]));
        expect(moved.indices.flat().map((at) => now!.data[at])).toEqual(values);
      }
    const trained = (part: typeof surrogate) => feedBack(master, part, part.model, 0.5).master;
    expect(trained(reordered)).toEqual(master);
    const twice = cutter.reorder(
      reordered,
      Object.fromEntries(
        Object.entries(order).map(([group, places]) => [group, places.map((_, place) => places.indexOf(place))]),
      ),
    );
    expect(twice.choice).toEqual(surrogate.choice);
    expect(twice.model).toEqual(surrogate.model);
  },
);
