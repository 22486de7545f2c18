import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type * as FilesPromised from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { writeFileAtomic } from "./model-file.js";

/** Which call on an open file fails, and how; undefined lets everything through. */
const failure = vi.hoisted(() => ({ current: undefined as undefined | { call: string; code: string } }));
vi.mock("node:fs/promises", async (importOriginal) => {
  const real = await importOriginal<typeof FilesPromised>();
  const fail = async (): Promise<never> => {
    throw Object.assign(new Error("injected"), { code: failure.current!.code });
  };
  const open = async (...args: Parameters<typeof real.open>): Promise<FileHandle> => {
    const file = await real.open(...args);
    if (failure.current?.call === "writeFile") {
      // Part of the content reaches the disk before it is full.
      const write = file.writeFile.bind(file);
      file.writeFile = async (content) => {
        await write((content as Uint8Array).subarray(0, 3));
        return fail();
      };
    }
    if (failure.current?.call === "sync") file.sync = fail;
    return file;
  };
  const rename: typeof real.rename = (...args) => (failure.current?.call === "rename" ? fail() : real.rename(...args));
  return { ...real, open, rename };
});

let base = "";
let path = "";
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "limber-"));
  path = join(base, "model.onnx");
});
beforeEach(() => {
  failure.current = undefined;
  writeFileSync(path, "old");
});
afterAll(() => rmSync(base, { recursive: true }));

const NEW = new TextEncoder().encode("new content");

describe("writing a file", () => {
  test("replaces the old one", async () => {
    await writeFileAtomic(path, NEW);
    expect(readFileSync(path, "utf8")).toBe("new content");
    expect(readdirSync(base)).toEqual(["model.onnx"]);
  });

  test.each([
    ["writeFile", "ENOSPC", "io.full"],
    ["sync", "ENOSPC", "io.full"],
    ["rename", "ENOSPC", "io.full"],
    ["writeFile", "EDQUOT", "io.full"],
    ["writeFile", "EIO", "io.failed"],
  ])("that fails in %s with %s leaves the old one and nothing else", async (call, code, expected) => {
    failure.current = { call, code };
    await expect(writeFileAtomic(path, NEW)).rejects.toMatchObject({ name: "LimberError", code: expected });
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(base)).toEqual(["model.onnx"]);
  });

  test("into a path through a file is a typed error", async () => {
    await expect(writeFileAtomic(join(path, "inside.onnx"), NEW)).rejects.toMatchObject({ code: "io.not-found" });
  });

  test("into a folder that is not there is a typed error", async () => {
    await expect(writeFileAtomic(join(base, "no", "x.onnx"), NEW)).rejects.toMatchObject({ code: "io.not-found" });
  });
});

/** A file system of 64 KiB, where this process may make one. */
function mountSmallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "limber-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], { stdio: "ignore" });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}
const disk = mountSmallDisk();

describe.runIf(disk)("on a disk of 64 KiB (where this process may mount one)", () => {
  afterAll(() => {
    execFileSync("umount", [disk!]);
    rmSync(disk!, { recursive: true });
  });

  test("a file that does not fit leaves the old one and nothing else", async () => {
    const folder = join(disk!, "run");
    mkdirSync(folder);
    const model = join(folder, "model.onnx");
    await writeFileAtomic(model, NEW);
    await expect(writeFileAtomic(model, new Uint8Array(1e6))).rejects.toMatchObject({ code: "io.full" });
    expect(readFileSync(model, "utf8")).toBe("new content");
    expect(readdirSync(folder)).toEqual(["model.onnx"]);
  });
});
