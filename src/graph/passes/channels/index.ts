export { type ChannelGroup, type ChannelMember, findChannelGroups } from "./groups.js";
export { type PrunedModel, pruneChannels, replayPruning } from "./prune.js";
export { type PruneRecord, undoPruning } from "./record.js";
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
