import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The program that `CHROMIUM` names, else the first `chromium` on the path. */
export function findChromium(): string | undefined {
  const { CHROMIUM, PATH = "" } = process.env;
  const candidates = [CHROMIUM, ...PATH.split(delimiter).map((folder) => join(folder, "chromium"))];
  return candidates.find((path) => path !== undefined && existsSync(path));
}
