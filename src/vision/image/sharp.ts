import type { default as Sharp } from "sharp";

let loaded: Promise<typeof Sharp> | undefined;

/** The decoder of pictures, from the first one on: its native library takes 18 MB, which is lost on whoever brings arrays. */
export const loadSharp = (): Promise<typeof Sharp> => (loaded ??= import("sharp").then((module) => module.default));
