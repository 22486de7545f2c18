import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

/** A Markdown file that people read. */
export interface Page {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
}

export function readPage(path: string): Page {
  return { path, text: readFileSync(join(ROOT, path), "utf8") };
}

/** Every Markdown file of the repository that is not somebody else's. */
export const readPages = (): Page[] =>
  [".", "docs", "models", "peers"].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith(".md"))
      .map((name) => readPage(join(folder, name))),
  );

interface Block {
  readonly language: string;
  readonly code: string;
}

/** The fenced blocks of a page, in order. */
export const blocksOf = ({ text }: Page): Block[] =>
  [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = "", code = ""]) => ({ language, code }));

/** What stands in backticks, and the lines of fenced blocks. */
export const codeOf = (page: Page): string[] => [
  ...blocksOf(page).flatMap(({ code }) => code.split("\n")),
  ...[...withoutBlocks(page.text).matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code),
];

const withoutBlocks = (text: string): string => text.replace(/^```.*?^```$/gms, "");

/** Targets of links and pictures of a page that lead nowhere in this repository; other sites are not looked at. */
export function findBrokenLinks(page: Page): string[] {
  const text = withoutBlocks(page.text);
  const targets = [...text.matchAll(/\]\(([^)\s]+)[^)]*\)|(?:src|href)="([^"]+)"/g)].map(([, a, b]) => a ?? b!);
  return targets.filter((target) => !/^[a-z]+:/.test(target) && !isThere(page, target));
}

function isThere(page: Page, target: string): boolean {
  const [file = "", anchor] = target.split("#");
  const path = file === "" ? page.path : join(page.path, "..", file);
  if (!existsSync(join(ROOT, path))) return false;
  return anchor === undefined || headingsOf(readPage(path)).includes(anchor);
}

/** Headings as anchors, the way that GitHub writes them. */
const headingsOf = ({ text }: Page): string[] =>
  [...withoutBlocks(text).matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replace(/\s/g, "-"),
  );
