/** Records what real runs do: costs and scores of an app by level, steps and drift. */
export * from "./profile-levels.js";
export * from "./record-trace.js";
export * from "./record-traces.js";
export * from "./trace-file.js";
export * from "./trace-folder.js";
