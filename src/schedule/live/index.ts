/** Apps at work: frames are served as they come, and plans are carried out beside that, in real time. */
export * from "./frames.js";
export * from "./journal.js";
export * from "./latency.js";
export { type LiveApp } from "./live-app.js";
export * from "./measure-serving.js";
export { type LiveAppRow, type LiveReport, type LiveWindow, type LiveWindowApp } from "./report.js";
export { type LiveOptions, runLive } from "./run-live.js";
