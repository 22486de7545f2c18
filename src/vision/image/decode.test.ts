import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { plainImage, temporaryFolder, writeFiles } from "../../../test/helpers/vision-files.js";
import { decodeFile, decodeImage, encodeImage } from "./decode.js";
import { levelsOf } from "./levels.js";
import type { Image, Reading } from "./types.js";

const gradient: Image = {
  width: 5,
  height: 3,
  channels: 3,
  data: Uint8Array.from({ length: 45 }, (_, i) => (i * 37) % 256),
};
const imageOf = (reading: Reading): Image => {
  if ("unreadable" in reading) throw new Error(reading.unreadable);
  return levelsOf(reading.image);
};
const sharpOf = ({ width, height, channels, data }: Image) => sharp(data, { raw: { width, height, channels } });

/** A BMP as Windows writes it: rows from the bottom, BGR, each row filled up to four bytes. */
function bmp(image: Image, bits: 24 | 32, topDown = false): Buffer {
  const rowBytes = Math.ceil((image.width * bits) / 32) * 4;
  const bytes = Buffer.alloc(54 + rowBytes * image.height);
  bytes.write("BM");
  bytes.writeUInt32LE(54, 10);
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(image.width, 18);
  bytes.writeInt32LE(topDown ? -image.height : image.height, 22);
  bytes.writeUInt16LE(bits, 28);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      const row = topDown ? y : image.height - 1 - y;
      for (let c = 0; c < 3; c++)
        bytes[54 + rowBytes * row + (x * bits) / 8 + 2 - c] = image.data[3 * (y * image.width + x) + c]!;
    }
  }
  return bytes;
}

describe("decoding", () => {
  it("gives back the pixels of lossless files", async () => {
    const files = [
      await encodeImage(gradient),
      await sharpOf(gradient).webp({ lossless: true }).toBuffer(),
      await sharpOf(gradient).tiff({ compression: "lzw" }).toBuffer(),
    ];
    for (const bytes of [...files, bmp(gradient, 24), bmp(gradient, 32), bmp(gradient, 24, true)]) {
      const image = imageOf(await decodeImage(bytes));
      expect({ ...image, data: [...image.data] }).toEqual({ ...gradient, data: [...gradient.data] });
    }
  });

  it("stays close to the pixels of a smooth JPEG", async () => {
    const image = imageOf(await decodeImage(await encodeImage(plainImage(16, 16, [200, 100, 50]), "jpeg", 95)));
    expect(image.data.every((level, i) => Math.abs(level - [200, 100, 50][i % 3]!) <= 3)).toBe(true);
  });

  it("turns a picture as EXIF says", async () => {
    const rotated = await sharpOf(gradient).withMetadata({ orientation: 6 }).png().toBuffer();
    const { width, height, data } = imageOf(await decodeImage(rotated));
    expect([width, height]).toEqual([3, 5]);
    // a quarter turn clockwise: the lower left corner becomes the upper left one
    expect([...data.subarray(0, 3)]).toEqual([...gradient.data.subarray(30, 33)]);
  });

  it("makes RGB of grey, palette, alpha and 16-bit files", async () => {
    const grey = await encodeImage(plainImage(2, 2, [77]));
    const translucent = await sharp({
      create: { width: 2, height: 2, channels: 4, background: { r: 77, g: 77, b: 77, alpha: 0.5 } },
    })
      .png()
      .toBuffer();
    const deep = await sharpOf(plainImage(2, 2, [77, 77, 77]))
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    const palette = await sharpOf(plainImage(2, 2, [77, 77, 77]))
      .png({ palette: true })
      .toBuffer();
    expect((await sharp(grey).metadata()).channels).toBe(1);
    expect((await sharp(deep).metadata()).depth).toBe("ushort");
    for (const bytes of [grey, translucent, deep, palette]) {
      const { channels, data } = imageOf(await decodeImage(bytes));
      expect({ channels, data: [...data] }).toEqual({ channels: 3, data: Array(12).fill(77) });
    }
  });

  it("says why a file is unreadable and never runs a decoder for other formats", async () => {
    const png = await encodeImage(gradient);
    const jpeg = await encodeImage(plainImage(64, 64, [1, 2, 3]), "jpeg");
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>');
    expect(await decodeImage(svg)).toEqual({ unreadable: expect.stringMatching(/^not a JPEG/) as string });
    expect(await decodeImage(new Uint8Array(0))).toHaveProperty("unreadable");
    expect(await decodeImage(jpeg.subarray(0, jpeg.length - 100))).toHaveProperty("unreadable");
    expect(await decodeImage(png.subarray(0, png.length >> 1))).toHaveProperty("unreadable");
    expect(await decodeImage(png, { fileBytes: 1e6, pixels: 14 })).toEqual({
      unreadable: expect.stringMatching(/pixel limit/) as string,
    });
    expect(await decodeImage(bmp(gradient, 24), { fileBytes: 1e6, pixels: 14 })).toEqual({
      unreadable: "5x3 pixels, more than the limit of 14",
    });
    const path = writeFiles(temporaryFolder(), { "a.png": png });
    expect(await decodeFile(`${path}/a.png`, { fileBytes: 10, pixels: 100 })).toEqual({
      unreadable: `${png.length} bytes, more than the limit of 10`,
    });
    expect(await decodeFile(`${path}/b.png`)).toEqual({ unreadable: expect.stringMatching(/ENOENT/) as string });
    expect(await decodeFile(path)).toHaveProperty("unreadable");
  });

  it("never throws on damaged BMP headers", async () => {
    const file = bmp(gradient, 24);
    const damage = fc.record({ at: fc.nat(53), value: fc.nat(255), length: fc.nat(file.length) });
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, value, length }) => {
        const bytes = Buffer.from(file);
        bytes[at] = value;
        const reading = await decodeImage(bytes.subarray(0, length), { fileBytes: 1e6, pixels: 1e6 });
        if ("image" in reading) expect(reading.image.data.length).toBe(reading.image.width * reading.image.height * 3);
      }),
      { seed: 3, numRuns: 300 },
    );
  });
});
