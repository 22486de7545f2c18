import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { ERROR_CODES } from "../src/base/index.js";
import { COMMANDS } from "../src/cli/commands/index.js";
import { GLOBAL_FLAGS } from "../src/cli/parser.js";
import { temporaryFolder } from "../src/cli/harness.test-helper.js";
import { compileExample } from "./helpers/example.js";
import { blocksOf, codeOf, findBrokenLinks, readPage, readPages, ROOT } from "./helpers/markdown.js";

const pages = readPages();
const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const flagsOf = (flags: object): string[] => Object.keys(flags).map((name) => `--${kebab(name)}`);
const EVERYWHERE = [...flagsOf(GLOBAL_FLAGS), "--help", "--version"];
const flagsIn = (text: string): string[] => [...text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([flag]) => flag);

describe.each(pages.map((page) => [page.path, page] as const))("%s", (_, page) => {
  test("links only to what is there", () => {
    expect(findBrokenLinks(page)).toEqual([]);
  });

  test("names only files that are there", () => {
    const paths = [...page.text.matchAll(/(?<![\w/.-])(?:src|test|scripts|peers|\.ci)\/[\w./-]*\w/g)];
    expect(paths.map(([path]) => path).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test("names only commands and flags of limber that exist", () => {
    const wrong = codeOf(page).flatMap((code) => {
      const [, name, rest = ""] = /(?:^|npx )limber ([a-z]\S*)(.*)/.exec(code) ?? [];
      if (name === undefined || name === "help") return [];
      const command = COMMANDS.find((each) => each.name === name);
      const known = [...flagsOf(command?.flags ?? {}), ...EVERYWHERE];
      return command ? flagsIn(rest).filter((flag) => !known.includes(flag)) : [name];
    });
    expect(wrong).toEqual([]);
  });
});

describe("docs/cli.md", () => {
  const page = readPage("docs/cli.md");

  test.each(COMMANDS.map((command) => [command.name, command] as const))(
    "has a section on %s and names its flags",
    (name, command) => {
      expect(page.text).toMatch(new RegExp(`^## limber ${name}$`, "m"));
      const named = flagsIn(page.text);
      expect([...flagsOf(command.flags), ...EVERYWHERE].filter((flag) => !named.includes(flag))).toEqual([]);
    },
  );

  test("names no flag that no command has", () => {
    const known = [...COMMANDS.flatMap(({ flags }) => flagsOf(flags)), ...EVERYWHERE];
    expect(flagsIn(page.text).filter((flag) => !known.includes(flag))).toEqual([]);
  });
});

describe("docs/errors.md", () => {
  const page = readPage("docs/errors.md");

  test("lists every code once, in the order of the source", () => {
    expect([...page.text.matchAll(/^\| `([\w.-]+)`/gm)].map(([, code]) => code)).toEqual([...ERROR_CODES]);
  });

  test("has an example that compiles and runs", async () => {
    const { problems, run } = compileExample(
      temporaryFolder(),
      blocksOf(page).find(({ language }) => language === "js")!.code,
    );
    expect(problems).toEqual([]);
    await expect(run()).resolves.toBe("");
  });
});

test("docs/op-coverage.md says what the tables of the compiler say", async () => {
  await promisify(execFile)(process.execPath, ["scripts/op-coverage.mjs", "--check"], { cwd: ROOT });
});
