import { describe, expect, it } from "vitest";
import { createWorld } from "../world/index.js";
import type { Domain } from "../data/types.js";
import { corruptDomain } from "./index.js";

const [day] = createWorld().dataset("test", 6).domains;

async function pixelsOf(domain: Domain, index: number): Promise<readonly number[]> {
  const reading = await domain.read(index);
  if ("unreadable" in reading) throw new Error(reading.unreadable);
  return Array.from(reading.image.data);
}

describe("corruptDomain", () => {
  it("keeps labels and number, changes pictures, and gives the same bytes each time", async () => {
    const foggy = corruptDomain(day!, "fog", { severity: 3, name: "haze" });
    expect([foggy.name, foggy.samples, foggy.label(4)]).toEqual(["haze", 6, day!.label(4)]);
    expect(await pixelsOf(foggy, 4)).toEqual(await pixelsOf(foggy, 4));
    expect(await pixelsOf(foggy, 4)).not.toEqual(await pixelsOf(day!, 4));
    expect(foggy.pathOf(4)).toContain("(fog)");
  });

  it("goes through the five severities in turn unless it is given one", async () => {
    const [turns, third] = [
      corruptDomain(day!, "speckle_noise"),
      corruptDomain(day!, "speckle_noise", { severity: 3 }),
    ];
    expect(await pixelsOf(turns, 2)).toEqual(await pixelsOf(third, 2));
    expect(await pixelsOf(turns, 3)).not.toEqual(await pixelsOf(third, 3));
  });

  it("passes on what cannot be read", async () => {
    const broken: Domain = { ...day!, read: () => Promise.resolve({ unreadable: "cut short" }) };
    expect(await corruptDomain(broken, "fog").read(0)).toEqual({ unreadable: "cut short" });
  });
});
