import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { limber } from "../src/cli/harness.test-helper.js";

const data = process.env.LIMBER_DATA ?? "";
const full = process.env.LIMBER_FULL !== undefined;

describe.runIf(data && full)("CamVid (LIMBER_DATA, LIMBER_FULL)", () => {
  it(
    "is read, and measured with ESPNet's weights, to the mIoU that was found with PyTorch",
    { timeout: 600_000 },
    async () => {
      const deviation = [72.188, 72.789, 70.005].map((value) => 255 * value);
      const { json } = await limber([
        ...["eval", join(data, "seg_models/espnet_p2q8_camvid_480x360_bn.onnx"), "--data", join(data, "camvid/dev")],
        // frames that these weights never saw
        ...["--domains-by", "segnet_split", "--domains", "test", "--batch", "2", "--json"],
        ...["--size", "360x480", "--color", "BGR", "--scale", "1"],
        ...["--mean", "109.776,107.813,104.422", "--std", deviation.join(",")],
      ]);
      const { value, samples, skipped, details } = json() as {
        value: number;
        samples: number;
        skipped: number;
        details: object;
      };
      expect({ samples, skipped, classes: Object.keys(details).length }).toEqual({
        samples: 50,
        skipped: 0,
        classes: 12,
      });
      expect(Math.abs(100 * value - 57.3)).toBeLessThan(3);
    },
  );
});
