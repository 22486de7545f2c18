import { Argument as CommanderArgument, Command as Commander, InvalidArgumentError, Option } from "commander";
import type { Command, Flag, Flags, FlagValues } from "./command.js";
import { NODE_PROVIDERS } from "../run/node.js";
import { VERSION } from "./version.js";

/** Flags that every command takes, before or after its name. */
export const GLOBAL_FLAGS = {
  json: { kind: "boolean", help: "print one JSON object on stdout instead of text" },
  seed: { kind: "number", minimum: 0, maximum: 2 ** 32 - 1, default: 0, help: "seed of everything random" },
  threads: {
    kind: "number",
    minimum: 1,
    maximum: 1024,
    help: "threads of one operator (default: half of the processors)",
  },
  provider: {
    kind: "text",
    choices: NODE_PROVIDERS,
    value: "name",
    default: "cpu",
    help: "what computes; limber doctor tells which ones can",
  },
  quiet: { kind: "boolean", help: "no progress and no notes on stderr" },
  verbose: { kind: "boolean", help: "print the stack of an error" },
} as const satisfies Flags;

/** A command line once understood: which command, with what. */
export interface Parsed {
  readonly command: Command;
  readonly args: Readonly<Record<string, string | undefined>>;
  readonly flags: Readonly<Record<string, unknown>>;
  readonly global: FlagValues<typeof GLOBAL_FLAGS>;
}

export interface ParserOutput {
  /** Help and version. */
  out(text: string): void;
}

/**
 * Builds commander from declarations and parses a command line; undefined when help or the version was asked for and printed.
 * Throws: `CommanderError` for a line that cannot be understood.
 */
export function parseCommandLine(
  commands: readonly Command[],
  argv: readonly string[],
  { out }: ParserOutput,
): Parsed | undefined {
  let parsed: Parsed | undefined;
  const program = new Commander("limber")
    .description("Adapt ONNX vision models to the images they meet: ONNX in, adapted ONNX out.")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({ writeOut: out, writeErr: () => undefined, outputError: () => undefined });
  addFlags(program, GLOBAL_FLAGS);
  for (const command of commands) {
    const sub = program.command(command.name).summary(command.summary).description(`${command.summary}.`);
    for (const [name, { help, optional }] of Object.entries(command.args)) {
      sub.addArgument(new CommanderArgument(optional ? `[${kebab(name)}]` : `<${kebab(name)}>`, help));
    }
    addFlags(sub, command.flags);
    sub.addHelpText("after", `\nExamples:\n${command.examples.map((line) => `  $ limber ${line}`).join("\n")}`);
    sub.action((...received: unknown[]) => {
      const args = Object.fromEntries(
        Object.keys(command.args).map((name, i) => [name, received[i] as string | undefined]),
      );
      checkRequired(sub, command.flags);
      const values = sub.optsWithGlobals<Record<string, unknown>>();
      parsed = { command, args, flags: pick(command.flags, values), global: pick(GLOBAL_FLAGS, values) };
    });
  }
  program.parse(argv, { from: "user" });
  return parsed;
}

/** The values of some flags; those that take nothing are false when absent. */
function pick<F extends Flags>(flags: F, values: Readonly<Record<string, unknown>>): FlagValues<F> {
  const entries = Object.entries(flags).map(([name, { kind }]) => [
    name,
    values[name] ?? (kind === "boolean" ? false : undefined),
  ]);
  return Object.fromEntries(entries) as FlagValues<F>;
}

/** After parsing, so that a misspelt flag is named before one that is missing because of it. */
function checkRequired(command: Commander, flags: Flags): void {
  for (const [name, flag] of Object.entries(flags)) {
    if (flag.required && command.getOptionValue(name) === undefined)
      command.error(`--${kebab(name)} <${valueNameOf(flag)}> expected, got none`);
  }
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function addFlags(command: Commander, flags: Flags): void {
  for (const [name, flag] of Object.entries(flags)) command.addOption(toOption(kebab(name), flag));
}

const VALUE_NAMES: Record<Flag["kind"], string> = {
  boolean: "",
  text: "text",
  number: "number",
  list: "a,b",
  numbers: "x,y",
  dims: "CxHxW",
  pairs: "key=value",
};

const valueNameOf = ({ value, kind }: Flag): string => value ?? VALUE_NAMES[kind];

function toOption(name: string, flag: Flag): Option {
  const { kind, choices } = flag;
  const help = flag.required ? `${flag.help} (required)` : flag.help;
  if (kind === "boolean") return new Option(`--${name}`, help);
  const option = new Option(`--${name} <${valueNameOf(flag)}>`, help);
  if (choices) option.choices(choices);
  else option.argParser((text: string, previous: unknown) => parseValue(flag, text, previous));
  if (flag.default !== undefined) option.default(flag.default);
  return option;
}

/** Throws: `InvalidArgumentError`, whose message says what was expected. */
function parseValue(flag: Flag, text: string, previous: unknown): unknown {
  switch (flag.kind) {
    case "number":
      return parseNumber(flag, text);
    case "list":
      return splitList(text);
    case "numbers":
      return splitList(text).map((part) => parseNumber({ ...flag, fraction: true }, part));
    case "dims":
      return text.split("x").map((part) => parseNumber({ ...flag, minimum: 1 }, part));
    case "pairs":
      return { ...(previous as Record<string, unknown> | undefined), ...parsePair(text) };
    case "text":
      return text;
    case "boolean":
      return true;
  }
}

function splitList(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.some((part) => part === "")) throw new InvalidArgumentError("Expected values separated by commas.");
  return parts;
}

function parseNumber({ fraction, minimum = -Infinity, maximum = Infinity }: Flag, text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isFinite(value) && (fraction ?? Number.isInteger(value)) && value >= minimum && value <= maximum)
    return value;
  const bounds = [
    Number.isFinite(minimum) && `at least ${minimum}`,
    Number.isFinite(maximum) && `at most ${maximum}`,
  ].filter((bound) => bound !== false);
  throw new InvalidArgumentError(`Expected ${[fraction ? "a number" : "a whole number", ...bounds].join(", ")}.`);
}

function parsePair(text: string): Record<string, string | number | boolean> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected key=value.");
  const value = text.slice(at + 1);
  const literal = value === "true" ? true : value === "false" ? false : value.trim() === "" ? value : Number(value);
  return { [text.slice(0, at)]: Number.isNaN(literal) ? value : literal };
}
