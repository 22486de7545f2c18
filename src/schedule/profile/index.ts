/** What apps cost on this machine: measured once, stored, and measured again when it is no longer so. */
export * from "./drift.js";
export * from "./ladder.js";
export {
  type AppProfile,
  findProfiledMachine,
  levelsOfProfile,
  type ProfiledMachine,
  type ProfileRow,
  type ProfileSetting,
} from "./profile.js";
export { profileApp, type ProfileOptions } from "./profile-app.js";
