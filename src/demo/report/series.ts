import type { VisitRow } from "../visit.js";

/** The models that the report compares: names, colour classes and markers are the same in every part of it. */
export const SERIES = [
  { key: "source", title: "frozen source model", short: "source", mark: "square" },
  { key: "tentOnline", title: "Tent, online", short: "Tent", mark: "circle" },
  { key: "patched", title: "patched norm layers", short: "patched", mark: "diamond" },
  { key: "elastic", title: "ElasticDNN, a small model", short: "ElasticDNN", mark: "triangle" },
] as const satisfies readonly { key: keyof VisitRow; title: string; short: string; mark: Mark }[];

export type Mark = "square" | "circle" | "diamond" | "triangle";
export type Series = (typeof SERIES)[number];
