import { describe, expect, it } from "vitest";
import { resizeImage, type Interpolation } from "./resize.js";
import type { Image } from "./types.js";

const image: Image = {
  width: 6,
  height: 5,
  channels: 1,
  data: Uint8Array.from({ length: 30 }, (_, i) => (i * i * 37 + i * 11) % 256),
};
const whole = (width: number, height: number) => ({
  scaledWidth: width,
  scaledHeight: height,
  left: 0,
  top: 0,
  width,
  height,
});

/** What Pillow makes of the image, rows first: `Image.fromarray(a).resize((width, 5), kernel).resize((width, height), kernel)`. */
const PILLOW: [Interpolation, number, number, number[]][] = [
  ["nearest", 3, 2, [98, 24, 246, 254, 164, 114]],
  [
    "nearest",
    8,
    3,
    [0, 48, 48, 170, 110, 124, 124, 212, 84, 252, 252, 238, 42, 176, 176, 128, 72, 104, 104, 210, 134, 132, 132, 204],
  ],
  [
    "nearest",
    4,
    9,
    [
      0, 170, 110, 212, 0, 170, 110, 212, 118, 152, 24, 246, 118, 152, 24, 246, 84, 238, 42, 128, 154, 172, 164, 114,
      154, 172, 164, 114, 72, 210, 134, 204, 72, 210, 134, 204,
    ],
  ],
  ["bilinear", 3, 2, [110, 129, 174, 160, 168, 162]],
  [
    "bilinear",
    8,
    3,
    [
      51, 63, 104, 151, 85, 132, 190, 227, 107, 177, 213, 187, 83, 149, 181, 151, 107, 146, 178, 188, 153, 164, 171,
      165,
    ],
  ],
  [
    "bilinear",
    4,
    9,
    [
      18, 123, 121, 179, 49, 122, 116, 199, 101, 120, 108, 232, 127, 165, 107, 198, 147, 221, 108, 146, 172, 208, 152,
      153, 180, 194, 182, 160, 120, 177, 157, 171, 84, 166, 142, 177,
    ],
  ],
  ["bicubic", 3, 2, [107, 124, 178, 164, 171, 161]],
  [
    "bicubic",
    8,
    3,
    [
      49, 52, 103, 158, 73, 124, 197, 234, 107, 186, 227, 190, 67, 154, 194, 144, 104, 146, 186, 192, 153, 164, 171,
      162,
    ],
  ],
  [
    "bicubic",
    4,
    9,
    [
      3, 129, 121, 177, 37, 122, 114, 204, 101, 115, 101, 247, 129, 170, 92, 209, 144, 235, 97, 149, 182, 223, 151, 147,
      186, 196, 187, 159, 111, 179, 155, 172, 69, 170, 134, 180,
    ],
  ],
  ["lanczos", 3, 2, [111, 125, 174, 169, 174, 157]],
  [
    "lanczos",
    8,
    3,
    [
      47, 39, 108, 157, 74, 107, 204, 238, 111, 187, 234, 181, 61, 154, 204, 138, 101, 143, 196, 192, 159, 163, 169,
      158,
    ],
  ],
  [
    "lanczos",
    4,
    9,
    [
      0, 137, 121, 169, 33, 117, 115, 208, 100, 107, 103, 252, 135, 168, 83, 220, 147, 236, 94, 153, 194, 232, 153, 142,
      186, 192, 187, 164, 111, 177, 158, 174, 59, 173, 129, 179,
    ],
  ],
];

describe("resizing", () => {
  it.each(PILLOW)(
    "gives Pillow's bytes within one level: %s to %dx%d",
    async (interpolation, width, height, expected) => {
      const { data } = await resizeImage(image, whole(width, height), interpolation);
      expect(Math.max(...expected.map((level, i) => Math.abs(level - data[i]!)))).toBeLessThanOrEqual(1);
      expect(data.length).toBe(expected.length);
    },
  );

  it("cuts a window as if the whole had been scaled first", async () => {
    const all = await resizeImage(image, whole(8, 9), "bicubic");
    const window = { scaledWidth: 8, scaledHeight: 9, left: 2, top: 3, width: 4, height: 2 };
    const cut = await resizeImage(image, window, "bicubic");
    expect([...cut.data]).toEqual([3, 4].flatMap((y) => [...all.data.subarray(8 * y + 2, 8 * y + 6)]));
  });

  it("keeps floats unrounded, and an image of the same size as it is", async () => {
    const two = { width: 2, height: 1, channels: 1, data: Float32Array.of(-1, 300.5) } as const;
    expect((await resizeImage(two, whole(1, 1), "bilinear")).data).toEqual(Float64Array.of(149.75));
    for (const interpolation of ["nearest", "bilinear", "bicubic", "lanczos"] as const) {
      expect((await resizeImage(image, whole(6, 5), interpolation)).data).toEqual(image.data);
    }
  });
});
