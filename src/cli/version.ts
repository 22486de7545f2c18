import { readFileSync } from "node:fs";

// The package root is two levels up from src/cli and from dist/cli alike.
const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** The version of this package. */
export const VERSION = manifest.version;
