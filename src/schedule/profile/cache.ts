import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../run/node.js";
import { type AppProfile, type ProfiledMachine, profileSchema } from "./profile.js";

/** Where the profile of an app on a machine lies. */
export function profileFileOf(folder: string, app: string, machine: ProfiledMachine): string {
  const digest = createHash("sha256")
    .update(JSON.stringify([app, machine]))
    .digest("hex")
    .slice(0, 16);
  return join(folder, `profile-${digest}.json`);
}

/** What was measured before; nothing where the file is absent, broken, or of another app or machine. */
export async function readProfile(
  folder: string,
  app: string,
  machine: ProfiledMachine,
): Promise<AppProfile | undefined> {
  try {
    const profile = profileSchema.parse(JSON.parse(await readFile(profileFileOf(folder, app, machine), "utf8")));
    const isOurs = profile.app === app && JSON.stringify(profile.machine) === JSON.stringify(machine);
    return isOurs ? profile : undefined;
  } catch {
    return undefined;
  }
}

/** Stores a profile, whole or not at all; false where the folder cannot be written, which costs only time. */
export async function writeProfile(folder: string, profile: AppProfile): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(
      profileFileOf(folder, profile.app, profile.machine),
      `${JSON.stringify(profile, undefined, 1)}\n`,
    );
    return true;
  } catch {
    return false;
  }
}
