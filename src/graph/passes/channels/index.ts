export {
  analyzeChannels,
  type ChannelAnalysis,
  type ChannelGroup,
  type ChannelMember,
  findChannelGroups,
} from "./groups.js";
export { pruneAnalyzed, type PrunedModel, pruneChannels, replayPruning } from "./prune.js";
export { gatherAlong, type PruneRecord, undoPruning } from "./record.js";
export { silenceChannels } from "./silence.js";
export {
  CHANNEL_SCORES,
  type ChannelChoice,
  type ChannelScore,
  type ChannelSelection,
  checkSelection,
  chooseChannels,
  type SelectionOptions,
} from "./selection.js";
