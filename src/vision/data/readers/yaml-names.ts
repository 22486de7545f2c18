import { join } from "node:path";
import { type Place, readBytes } from "../../files.js";
import { labelError } from "./labelled-boxes.js";

/** Class names from the first `.yaml` file at a place that lists `names`. Throws: `data.invalid` for a list that is not one. */
export async function findYamlNames(place: Place): Promise<readonly string[] | undefined> {
  const paths = place.isFolder
    ? place.files.filter((file) => /\.ya?ml$/.test(file)).map((file) => join(place.path, file))
    : [place.path];
  for (const path of paths) {
    const names = parseNames(Buffer.from(await readBytes(path, 2 ** 24)).toString("utf8"), path);
    if (names !== undefined) return names;
  }
  return undefined;
}

/**
 * Reads the entry `names` of a YAML file and nothing else of it: `[cat, dog]`, lines `- cat`, or lines `0: cat` in order.
 * Throws: `data.invalid`, naming the line.
 */
function parseNames(text: string, path: string): readonly string[] | undefined {
  const lines = text.split(/\r?\n/).map((line) => line.replace(/(^|\s)#.*$/, "").trimEnd());
  const start = lines.findIndex((line) => /^names\s*:/.test(line));
  if (start < 0) return undefined;
  const fail = (line: number): Error =>
    labelError(
      `${path}:${line + 1}`,
      "names: [cat, dog], or lines such as - cat or 0: cat,",
      JSON.stringify(lines[line] ?? ""),
    );
  const inline = lines[start]!.replace(/^names\s*:\s*/, "");
  if (inline !== "") {
    const end = lines.findIndex((line, i) => i >= start && line.endsWith("]"));
    const list = /^\[(.*)\]$/.exec([inline, ...lines.slice(start + 1, end + 1)].join(" "));
    if (list === null) throw fail(start);
    return list[1]!
      .split(",")
      .map(unquote)
      .filter((name) => name !== "");
  }
  const names: string[] = [];
  for (let i = start + 1; i < lines.length; i++) {
    const line = lines[i]!;
    if (line === "") continue;
    const entry = /^\s*-\s+(.+)$/.exec(line) ?? /^\s+(\d+)\s*:\s*(.+)$/.exec(line);
    if (entry === null && /^\S/.test(line)) break;
    if (entry === null || (entry[2] !== undefined && Number(entry[1]) !== names.length)) throw fail(i);
    names.push(unquote(entry[2] ?? entry[1]!));
  }
  if (names.length === 0) throw fail(start);
  return names;
}

const unquote = (text: string): string => text.trim().replace(/^(["'])(.*)\1$/, "$2");
