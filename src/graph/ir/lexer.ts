import { LimberError } from "../../base/index.js";

/** `value` is a name after `%`; `text` of a string or value is without quotes and escapes. */
export interface Token {
  readonly kind: "value" | "word" | "string" | "number" | "mark" | "end";
  readonly text: string;
  readonly offset: number;
}

/** What may stand without quotes; a colon or slash only in names of values, where exporters put them. */
const WORD = /[A-Za-z_][\w.-]*/y;
const VALUE = /[\w./$:-]*[\w./$-]/y;
const NUMBER = /0x[\da-f]+|-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)/y;
const STRING = /"[^"\\\n]*(?:\\.[^"\\\n]*)*"/y;
const MARK = /::|[(){}[\]=:,?*…]/y;
const SPACE = /(?:\s+|#.*)*/y;

const isWhole = (pattern: RegExp, text: string): boolean => matchAt(pattern, text, 0) === text;
export const wordText = (text: string): string => (isWhole(WORD, text) ? text : JSON.stringify(text));
export const valueText = (name: string): string => `%${isWhole(VALUE, name) ? name : JSON.stringify(name)}`;

function matchAt(pattern: RegExp, text: string, offset: number): string | undefined {
  pattern.lastIndex = offset;
  return pattern.exec(text)?.[0];
}

/** Cuts text into tokens one at a time, with one to look ahead. Spaces, line ends and `#` comments only separate. */
export class Lexer {
  /** The token that comes next. */
  next: Token;
  private offset = 0;

  constructor(private readonly source: string) {
    this.next = this.scan();
  }

  take(): Token {
    const token = this.next;
    this.next = this.scan();
    return token;
  }

  /** Takes the next token if it is this mark or word. */
  takeIf(text: string): boolean {
    const found = (this.next.kind === "mark" || this.next.kind === "word") && this.next.text === text;
    if (found) this.take();
    return found;
  }

  expect(text: string): void {
    if (!this.takeIf(text)) throw this.error(`"${text}"`);
  }

  /** Takes a token of one of the kinds and gives its text. */
  expectKind(expected: string, ...kinds: readonly Token["kind"][]): string {
    if (!kinds.includes(this.next.kind)) throw this.error(expected);
    return this.take().text;
  }

  /** `graph.invalid` with the place of a token. */
  error(expected: string, token: Token = this.next): LimberError {
    const before = this.source.slice(0, token.offset).split("\n");
    const [line, column] = [before.length, before.at(-1)!.length + 1];
    const shown = token.text.length > 40 ? `${token.text.slice(0, 40)}…` : token.text;
    const found = token.kind === "end" ? "the end" : JSON.stringify(shown);
    const message = `model text, line ${line}, column ${column}: ${expected}, got ${found}`;
    return new LimberError("graph.invalid", message, { line, column, expected, found });
  }

  private scan(): Token {
    this.offset += matchAt(SPACE, this.source, this.offset)!.length;
    const start = this.offset;
    if (start === this.source.length) return { kind: "end", text: "", offset: start };
    if (this.source[start] === "%") {
      this.offset++;
      const name = this.match(VALUE);
      return { kind: "value", text: name ?? this.string(start), offset: start };
    }
    if (this.source[start] === '"') return { kind: "string", text: this.string(start), offset: start };
    for (const [kind, pattern] of [
      ["word", WORD],
      ["number", NUMBER],
      ["mark", MARK],
    ] as const) {
      const text = this.match(pattern);
      if (text !== undefined) return { kind, text, offset: start };
    }
    throw this.error("a name, value, number, string or mark", this.strange(start));
  }

  private string(start: number): string {
    try {
      return JSON.parse(this.match(STRING) ?? "") as string;
    } catch {
      throw this.error("a string in JSON quotes on one line", this.strange(start));
    }
  }

  private match(pattern: RegExp): string | undefined {
    const text = matchAt(pattern, this.source, this.offset);
    this.offset += text?.length ?? 0;
    return text;
  }

  private strange(offset: number): Token {
    return { kind: "mark", text: String.fromCodePoint(this.source.codePointAt(offset)!), offset };
  }
}
