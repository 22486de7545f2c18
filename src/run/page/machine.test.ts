import { describe, expect, test } from "vitest";
import { tinyNetwork } from "../../../test/helpers/tiny.js";
import { createMachine } from "../machine.js";
import { Predictor } from "../predictor.js";
import type { Machine } from "../session.js";
import { findChromium } from "./chromium.js";
import { openPageMachine } from "./machine.js";

const chromium = findChromium();

describe(`a machine in a browser (Chromium: ${chromium ?? "none found: not tested; install Debian's chromium"})`, () => {
  test.runIf(chromium)("predicts what the processor predicts, and refuses work after it was disposed", async () => {
    const images = {
      dtype: "float32" as const,
      dims: [1, 3, 16, 16],
      data: new Float32Array(768).map((_, i) => i % 7),
    };
    const predict = async (machine: Machine): Promise<ArrayLike<number>> => {
      const predictor = await Predictor.create(machine, tinyNetwork(), {});
      return Float32Array.from((await predictor.predict(images)).output.data as Float32Array);
    };
    await using node = createMachine();
    const expected = await predict(node);
    const page = await openPageMachine();
    const found = await predict(page);
    Array.from(expected).forEach((value, i) => expect(found[i]).toBeCloseTo(value, 4));
    expect(page.provider).toBe("wasm");
    await page[Symbol.asyncDispose]();
    await expect(predict(page)).rejects.toMatchObject({ code: "run.failed" });
  });
});

test("a browser that is not there is refused with where to name another", async () => {
  const refused = openPageMachine({ chromium: "/nowhere/chromium" });
  await expect(refused).rejects.toMatchObject({ code: "provider.refused", message: /CHROMIUM$/ });
});
