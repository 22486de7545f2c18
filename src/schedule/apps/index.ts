/** Real apps: a learner that makes and trains models, and the host that serves beside it. */
export { createElasticApp, type ElasticAppOptions, openApp } from "./elastic-app.js";
export { ElasticLearner, type ElasticLearnerOptions } from "./elastic-learner.js";
export { type AppOptions, HostedApp } from "./hosted-app.js";
export { type Learner, type Lesson, type LevelSize, neighbourOf } from "./learner.js";
export { type AppMethod, methodOf } from "./methods.js";
export { createPatchApp, type PatchAppOptions } from "./patch-app.js";
export { PatchLearner, type PatchLearnerOptions } from "./patch-learner.js";
