import { Buffer } from "node:buffer";
import { describe, expect, it } from "vitest";
import { plainImage } from "../../../test/helpers/vision-files.js";
import { decodeImage, levelsOf } from "../../vision/index.js";
import { colourOf, drawLegend, drawOverlay, drawOverlays } from "./overlay.js";

/** The levels of the picture inside of a drawing. */
async function levelsIn(svg: string): Promise<number[]> {
  const [, base64] = /data:image\/png;base64,([^"]+)/.exec(svg)!;
  const reading = await decodeImage(Buffer.from(base64!, "base64"));
  if ("unreadable" in reading) throw new Error(reading.unreadable);
  return [...levelsOf(reading.image).data];
}

const picture = plainImage(4, 2, [100, 50, 200]);

describe("overlays", () => {
  it("draw boxes at the scale of the page, with class and score, names escaped", async () => {
    const boxes = [
      { label: 1, corners: [1, 1, 3, 2], score: 0.876 },
      { label: 7, corners: [0, 0, 4, 2] },
    ] as const;
    const { text } = await drawOverlay(picture, { boxes }, { classes: ["a", "<b>"], width: 400, title: "two & more" });
    expect(text).toContain('viewBox="0 0 400 200"');
    expect(text.replace(/\s+/g, " ")).toContain('x="100.0" y="100.0" width="200.0" height="100.0" fill="none"');
    expect(text).toMatch(/>\s*&#60;b&#62; 0\.88\s*</);
    expect(text).toMatch(/>\s*7\s*</);
    expect(text).toContain("<title>two &#38; more</title>");
    expect(await levelsIn(text)).toEqual([...picture.data]);
  });

  it("lay half of a class's colour over its pixels and leave the ground and unlabelled pixels clear", async () => {
    const mask = { width: 2, height: 1, data: Uint8Array.of(0, 2) };
    const half = (label: number): number[] => colourOf(label).map((c, i) => Math.round((c + [100, 50, 200][i]!) / 2));
    const pixels = async (data: number[], ground?: number): Promise<number[][]> => {
      const drawn = await drawOverlay(
        picture,
        { mask: { ...mask, data: Uint8Array.from(data) } },
        { title: "", ...(ground !== undefined && { ground }) },
      );
      const levels = await levelsIn(drawn.text);
      return [levels.slice(0, 3), levels.slice(9, 12)];
    };
    expect(await pixels([0, 2])).toEqual([[100, 50, 200], half(1)]);
    expect(await pixels([255, 2], -1)).toEqual([[100, 50, 200], half(2)]);
  });

  it("give 21 classes 21 colours, and the legend those of the mask", () => {
    expect(new Set(Array.from({ length: 21 }, (_, k) => colourOf(k).join())).size).toBe(21);
    const { text } = drawLegend(["nothing", "cat", "dog"]);
    expect(text).not.toContain("nothing");
    expect(text).toContain(`rgb(${colourOf(0).join(" ")})"></i>cat`);
  });

  it("stand side by side under their names", async () => {
    const { text } = await drawOverlays(
      picture,
      [
        ["before", {}],
        ["after", { boxes: [] }],
      ],
      { title: "fog" },
    );
    expect(text.match(/<figcaption>(before|after)<\/figcaption>/g)).toHaveLength(2);
    expect(text).toContain("<title>fog, after</title>");
  });
});
