import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { Random, tensorOf } from "../base/index.js";
import { buildNetwork, type Model, writeModel } from "../graph/index.js";
import { encodeImage, writeNpy } from "../vision/index.js";
import type { Command } from "./command.js";
import { type CliIo, runCli } from "./run.js";

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The one object on stdout. */
  json(): Record<string, unknown>;
}

export interface LimberOptions extends Partial<Pick<CliIo, "signal" | "env" | "isTTY">> {
  readonly commands?: readonly Command[];
  readonly onStderr?: (text: string) => void;
}

/** Runs a command line in process. */
export async function limber(argv: readonly string[], options: LimberOptions = {}): Promise<CliResult> {
  const [out, err]: string[][] = [[], []];
  const { signal = new AbortController().signal, env = {}, isTTY = false, commands, onStderr } = options;
  const stderr = {
    write(text: string) {
      err!.push(text);
      onStderr?.(text);
    },
  };
  const code = await runCli(
    argv,
    { stdout: { write: (text) => out!.push(text) }, stderr, signal, env, isTTY },
    commands,
  );
  const stdout = out!.join("");
  return { code, stdout, stderr: err!.join(""), json: () => JSON.parse(stdout) as Record<string, unknown> };
}

/** A folder for the files of one test file, removed after its tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "limber-cli-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const SIDE = 16;
export const CLASSES = 3;

export const tinyModel = (): Model =>
  buildNetwork("resnet8", { imageSize: SIDE, classes: CLASSES, width: 0.25, seed: 1 });

/** Writes an untrained classifier of 16x16 images. */
export function writeTinyModel(folder: string, model: Model = tinyModel()): string {
  const path = join(folder, "tiny.onnx");
  writeFileSync(path, writeModel(model));
  return path;
}

/** One noisy colour per class. */
function tinyPixels(count: number, seed: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length: count * SIDE * SIDE * 3 }, (_, i) => {
    const label = Math.floor(i / (SIDE * SIDE * 3)) % CLASSES;
    return i % 3 === label ? random.int(120, 256) : random.int(0, 140);
  });
}

/** Writes arrays `clean.npy` and `noisy.npy` of as many images, and `labels.npy`. */
export function writeTinyArrays(folder: string, count = 24): string {
  const path = join(folder, "arrays");
  mkdirSync(path, { recursive: true });
  const dims = [count, SIDE, SIDE, 3];
  ["clean", "noisy"].forEach((name, seed) => {
    writeFileSync(join(path, `${name}.npy`), writeNpy({ dtype: "uint8", dims, data: tinyPixels(count, seed) }));
  });
  const labels = Array.from({ length: count }, (_, i) => i % CLASSES);
  writeFileSync(join(path, "labels.npy"), writeNpy(tensorOf("int32", [count], labels)));
  return path;
}

/** Writes `red/*.png`, `green/*.png`, `blue/*.png`, and one file in `red` that is no picture. */
export async function writeTinyFolders(folder: string, perClass = 3): Promise<string> {
  const path = join(folder, "pictures");
  const size = SIDE * SIDE * 3;
  for (const [label, name] of ["red", "green", "blue"].entries()) {
    mkdirSync(join(path, name), { recursive: true });
    for (let i = 0; i < perClass; i++) {
      const data = tinyPixels(CLASSES, i).subarray(label * size, (label + 1) * size);
      writeFileSync(join(path, name, `${i}.png`), await encodeImage({ width: SIDE, height: SIDE, channels: 3, data }));
    }
  }
  writeFileSync(join(path, "red", "broken.png"), "not a picture");
  return path;
}
