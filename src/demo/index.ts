/** The main job on the embedded world: a source model meets an evolving sequence of domains and leaves a report. */
export { LINE_DEFAULTS, type LineRow, WORLD_LINE_PATH } from "./line.js";
export { DEMO_VISITS } from "./plan.js";
export { drawMark } from "./report/chart.js";
export { html, Html } from "./report/html.js";
export {
  colourOf,
  drawLegend,
  drawOverlay,
  drawOverlays,
  OVERLAY_STYLE,
  type Overlay,
  type OverlayOptions,
} from "./report/overlay.js";
export { drawShares, type ShareSeries, SHARES_STYLE } from "./report/shares.js";
export { STYLE } from "./report/style.js";
export type { DemoHeadline, DemoResult, Machine } from "./result.js";
export * from "./run-demo.js";
export type { VisitRow } from "./visit.js";
export { ShareRecorder } from "./share-recorder.js";
export { type Together, type TogetherRow } from "./together.js";
