import { labelError } from "./labelled-boxes.js";

/** An element with its text, that of the elements in it left out. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
  readonly line: number;
}

const DEEPEST = 32;
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
/** A comment or declaration, a tag, or text; attributes are passed over. */
const TOKEN = /<!--[^]*?-->|<\?[^]*?\?>|<(\/?)([\w.:-]+)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|[^<]+/y;

/**
 * Reads what label files use of XML: elements and text, no document types and no entities but the five of XML itself.
 * Throws: `data.invalid`, naming the line.
 */
export function parseXml(source: string, path: string): XmlElement {
  let line = 1;
  const fail = (expected: string, got: string): Error => labelError(`${path}:${line}`, expected, got);
  const open: { name: string; text: string; children: XmlElement[]; line: number }[] = [
    { name: "", text: "", children: [], line },
  ];
  for (TOKEN.lastIndex = source.startsWith("\uFEFF") ? 1 : 0; TOKEN.lastIndex < source.length;) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(source);
    if (found === null) throw fail("XML", JSON.stringify(source.slice(at, at + 20)));
    const [token, closing, name, , empty] = found;
    const parent = open.at(-1)!;
    if (name === undefined) {
      if (!token.startsWith("<")) parent.text += decodeText(token, (entity) => fail("no entity", entity));
    } else if (closing) {
      if (name !== parent.name) throw fail(`</${parent.name}>`, token);
      open.pop();
      open.at(-1)!.children.push({ ...parent, text: parent.text.trim() });
    } else if (empty) {
      parent.children.push({ name, text: "", children: [], line });
    } else if (open.push({ name, text: "", children: [], line }) > DEEPEST) {
      throw fail(`elements at most ${DEEPEST} deep`, "more");
    }
    line += token.split("\n").length - 1;
  }
  const [document] = open;
  if (open.length > 1) throw fail(`</${open.at(-1)!.name}>`, "the end of the file");
  if (document!.children.length !== 1 || document!.text.trim() !== "")
    throw fail("one element", `${document!.children.length}`);
  return document!.children[0]!;
}

const decodeText = (text: string, fail: (entity: string) => Error): string =>
  text.replace(/&(\w*;?)/g, (entity, name: string) => {
    const character = name.endsWith(";") ? ENTITIES[name.slice(0, -1)] : undefined;
    if (character === undefined) throw fail(entity);
    return character;
  });
