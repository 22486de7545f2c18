import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { PatchLibrary } from "./library.js";
import { openLibrary, saveLibrary } from "./library-folder.js";

const root = mkdtempSync(join(tmpdir(), "limber-library-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const entry = (domain: string, mean: number, byte: number) => ({
  ...{ parent: "model", domain, statistics: { mean: [mean], deviation: [1] }, score: 0.5 },
  patch: Uint8Array.of(byte),
});

describe("a folder of past patches", () => {
  test("is empty at first, and holds what was saved, a file for each patch", async () => {
    const folder = join(root, "new");
    const { library } = await openLibrary(folder);
    expect(library.entries).toEqual([]);
    library.add(entry("fog", 0, 1));
    library.add(entry("night", 3, 2));
    await saveLibrary(folder, library);
    const { library: again, skipped } = await openLibrary(folder);
    expect([skipped, again.entries.map(({ domain, score }) => [domain, score])]).toEqual([
      0,
      [
        ["fog", 0.5],
        ["night", 0.5],
      ],
    ]);
    const { patch } = again.findNearest({ parent: "model", statistics: { mean: [3], deviation: [1] } })!.entry;
    expect([...readFileSync((patch as { file: string }).file)]).toEqual([2]);
  });

  test("keeps the files of patches that it read, and no others", async () => {
    const folder = join(root, "kept");
    const library = new PatchLibrary();
    library.add(entry("fog", 0, 1));
    await saveLibrary(folder, library);
    const before = readdirSync(folder);
    const { library: again } = await openLibrary(folder);
    again.add(entry("night", 3, 2));
    await saveLibrary(folder, again);
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(before));
    again.add(entry("fog, later", 0.01, 3)); // takes the place of the first
    await saveLibrary(folder, again);
    expect(readdirSync(folder)).toHaveLength(3);
    expect(readdirSync(folder)).not.toEqual(expect.arrayContaining(before));
  });

  test("leaves out entries that name files elsewhere, and refuses an index that is none", async () => {
    const folder = join(root, "kept");
    const index = join(folder, "library.json");
    const stored = JSON.parse(readFileSync(index, "utf8")) as { entries: { patch: unknown }[] };
    stored.entries[0]!.patch = { file: "../../secret.safetensors" };
    writeFileSync(index, JSON.stringify(stored));
    const { library, skipped } = await openLibrary(folder);
    expect([library.entries.length, skipped]).toEqual([1, 1]);
    writeFileSync(index, "{");
    await expect(openLibrary(folder)).rejects.toMatchObject({ code: "data.invalid" });
  });
});
