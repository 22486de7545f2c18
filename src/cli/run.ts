import { CommanderError } from "commander";
import { type ErrorCode, isLimberError, LimberError } from "../base/index.js";
import { type Command, EXIT, type ExitCode } from "./command.js";
import { COMMANDS } from "./commands/index.js";
import { type Parsed, parseCommandLine } from "./parser.js";
import { createReporter, type TextSink } from "./progress.js";

/** Everything that a command line touches outside of itself. */
export interface CliIo {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether stderr is a terminal. */
  readonly isTTY: boolean;
}

/** Runs one command line (without `node` and the script) and resolves to its exit code; never rejects. */
export async function runCli(
  argv: readonly string[],
  io: CliIo,
  commands: readonly Command[] = COMMANDS,
): Promise<ExitCode> {
  let parsed: Parsed | undefined;
  try {
    parsed = parseCommandLine(commands, argv, { out: (text) => io.stdout.write(text) });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    return fail(toLimberError(error), io, { json: argv.includes("--json"), verbose: argv.includes("--verbose") });
  }
  if (!parsed) return EXIT.ok;
  const { command, global } = parsed;
  const reporter = createReporter(io.stderr, { isTTY: io.isTTY, quiet: global.quiet });
  try {
    const { seed, threads, provider } = global;
    const { onProgress, note } = reporter;
    const { signal, env } = io;
    const { json, text, exitCode } = await command.run({
      ...{ args: parsed.args as Record<string, string>, flags: parsed.flags as Record<string, never> },
      ...{ seed, threads, provider, signal, env, onProgress, note },
    });
    reporter.finish();
    io.stdout.write(`${global.json ? JSON.stringify(json) : text.trimEnd()}\n`);
    return exitCode ?? EXIT.ok;
  } catch (error) {
    reporter.finish();
    return fail(toLimberError(error), io, global);
  }
}

/** Codes decide; nobody reads messages. */
function exitCodeOf(code: ErrorCode): ExitCode {
  if (code === "aborted") return EXIT.interrupted;
  return code === "config.invalid" ? EXIT.usage : EXIT.failure;
}

function fail(error: LimberError, io: CliIo, { json, verbose }: Pick<Parsed["global"], "json" | "verbose">): ExitCode {
  if (json) io.stdout.write(`${JSON.stringify({ error })}\n`);
  const colour = io.isTTY && !io.env.NO_COLOR;
  io.stderr.write(`${colour ? "\x1b[31mlimber:\x1b[39m" : "limber:"} ${error.message} (${error.code})\n`);
  if (verbose || io.env.DEBUG) for (const line of stacksOf(error)) io.stderr.write(`${line}\n`);
  return exitCodeOf(error.code);
}

function* stacksOf(error: unknown): Generator<string> {
  if (!(error instanceof Error)) return;
  yield error.stack ?? error.message;
  yield* stacksOf(error.cause);
}

function toLimberError(error: unknown): LimberError {
  if (isLimberError(error)) return error;
  if (error instanceof CommanderError) return usageError(error);
  const message = `internal: ${error instanceof Error ? error.message : String(error)}; please report it, with --verbose`;
  return new LimberError("internal", message, {}, { cause: error });
}

/** Commander's messages in our form: `error: unknown option '--dta'\n(Did you mean --data?)`. */
function usageError(error: CommanderError): LimberError {
  if (error.code === "commander.help") {
    return new LimberError("config.invalid", "command line: a command, got none; `limber --help` lists them");
  }
  const [problem = "", hint] = error.message.replace(/^error: /, "").split("\n");
  const next = hint
    ? hint.replace(/^\(Did you mean (.*)\?\)$/, "did you mean $1?")
    : "`limber --help` lists what there is";
  const reason = error.code.replace("commander.", "");
  return new LimberError(
    "config.invalid",
    `command line: ${problem.replace(/\.$/, "")}; ${next}`,
    { reason },
    { cause: error },
  );
}
