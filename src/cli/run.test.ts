import { describe, expect, it } from "vitest";
import { LimberError } from "../base/index.js";
import { defineCommand, EXIT } from "./command.js";
import { limber } from "./harness.test-helper.js";

const echo = defineCommand({
  name: "echo",
  summary: "Say what was understood",
  args: { word: { help: "a word" }, other: { help: "another", optional: true } },
  flags: {
    count: { kind: "number", minimum: 1, default: 2, help: "how often" },
    share: { kind: "number", fraction: true, maximum: 1, help: "a share" },
    colourName: { kind: "text", choices: ["red", "green"], help: "a colour" },
    list: { kind: "list", help: "names" },
    numbers: { kind: "numbers", help: "numbers" },
    dims: { kind: "dims", help: "a shape" },
    option: { kind: "pairs", help: "anything" },
    fast: { kind: "boolean", help: "hurry" },
  },
  examples: ["echo hello"],
  run: async ({ args, flags, seed, threads }) => ({ json: { args, flags, seed, threads }, text: args.word }),
});

const need = defineCommand({
  name: "need",
  summary: "Need a flag",
  args: {},
  flags: { data: { kind: "text", value: "path", required: true, help: "where" } },
  examples: [],
  run: async ({ flags }) => ({ json: { data: flags.data }, text: flags.data }),
});

const failing = (error: unknown) =>
  defineCommand({
    name: "fail",
    summary: "Fail",
    args: {},
    flags: {},
    examples: [],
    run: async ({ note, onProgress }) => {
      note("a note");
      onProgress({ stage: "work", done: 1, total: 1, note: "late" });
      throw error;
    },
  });

const run = (line: string, options: Parameters<typeof limber>[1] = {}) =>
  limber(line.split(" "), { commands: [echo, need], ...options });

describe("a command line", () => {
  it("gives typed flags, defaults, and global flags wherever they stand", async () => {
    const line =
      "--seed 7 echo hello --share 0.5 --colour-name green --list a,b --numbers 0.1,-2 --dims 3x8x8 --option a=1 --option b=true --option c=x --threads 2 --json";
    const { code, json, stderr } = await run(line);
    expect({ code, stderr }).toEqual({ code: EXIT.ok, stderr: "" });
    expect(json()).toEqual({
      args: { word: "hello" },
      flags: {
        ...{ count: 2, share: 0.5, colourName: "green", list: ["a", "b"], numbers: [0.1, -2], dims: [3, 8, 8] },
        ...{ option: { a: 1, b: true, c: "x" }, fast: false },
      },
      seed: 7,
      threads: 2,
    });
  });

  it("prints text on stdout without --json", async () => {
    expect((await run("echo hello")).stdout).toBe("hello\n");
  });

  it.each([
    ["ecko hello", "did you mean echo?"],
    ["echo hello --cuont 3", "did you mean --count?"],
    ["need --dta x", "did you mean --data?"],
    ["need", "--data <path> expected, got none"],
    ["echo", "missing required argument 'word'"],
    ["echo a b c", "too many arguments"],
    ["echo a --count 1.5", "Expected a whole number, at least 1"],
    ["echo a --count 0", "Expected a whole number, at least 1"],
    ["echo a --share 2", "Expected a number, at most 1"],
    ["echo a --share 1e999", "Expected a number"],
    ["echo a --numbers 1,,2", "separated by commas"],
    ["echo a --dims 3x0", "at least 1"],
    ["echo a --option =1", "key=value"],
    ["echo a --colour-name blue", "Allowed choices are red, green"],
    ["echo a --seed -1", "at least 0"],
    ["--quiet", "a command, got none"],
  ])("refuses `%s` as a usage error", async (line, message) => {
    const { code, stdout, stderr } = await run(line);
    expect({ code, stdout }).toEqual({ code: EXIT.usage, stdout: "" });
    expect(stderr).toMatch(/^limber: command line: .* \(config\.invalid\)\n$/);
    expect(stderr).toContain(message);
  });

  it("prints usage errors as one JSON object when asked to", async () => {
    const { code, json } = await run("echo a --cuont 3 --json");
    expect(code).toBe(EXIT.usage);
    expect(json()).toMatchObject({ error: { code: "config.invalid", context: { reason: "unknownOption" } } });
  });

  it("prints help and version on stdout", async () => {
    const help = await run("help echo");
    expect(help).toMatchObject({ code: EXIT.ok, stderr: "" });
    for (const text of ["--colour-name", "--seed", "$ limber echo hello", "Say what was understood."])
      expect(help.stdout).toContain(text);
    expect(await run("need --help")).toMatchObject({
      code: EXIT.ok,
      stdout: expect.stringContaining("(required)") as string,
    });
    expect((await run("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("a command that fails", () => {
  it.each([
    ["config.invalid", EXIT.usage],
    ["aborted", EXIT.interrupted],
    ["model.malformed", EXIT.failure],
    ["io.full", EXIT.failure],
  ] as const)("maps the code %s to exit code %i", async (errorCode, exitCode) => {
    const error = new LimberError(errorCode, "thing: good, got bad", { size: 3 });
    const { code, json, stderr } = await run("fail --json --quiet", { commands: [failing(error)] });
    expect(code).toBe(exitCode);
    expect(json()).toEqual({ error: { code: errorCode, message: "thing: good, got bad", context: { size: 3 } } });
    expect(stderr).toBe(`limber: thing: good, got bad (${errorCode})\n`);
  });

  it("reports a defect as internal, with the stack and its cause only when asked to", async () => {
    const commands = [failing(new TypeError("x is not a function"))];
    const plain = await run("fail", { commands });
    expect(plain.code).toBe(EXIT.failure);
    expect(plain.stderr).toContain("internal: x is not a function");
    expect(plain.stderr).not.toContain("    at ");
    expect((await run("fail --verbose", { commands })).stderr).toContain("TypeError: x is not a function\n    at ");
    expect((await run("fail", { commands, env: { DEBUG: "1" } })).stderr).toContain("    at ");
  });

  it("colours the error on a terminal unless NO_COLOR is set, and clears the progress line first", async () => {
    const commands = [failing(new LimberError("run.failed", "broken"))];
    const colour = await run("fail", { commands, isTTY: true });
    expect(colour.stderr).toBe("a note\n\r\x1b[2Kwork 1/1 late\r\x1b[2K\x1b[31mlimber:\x1b[39m broken (run.failed)\n");
    const plain = await run("fail", { commands, isTTY: true, env: { NO_COLOR: "1" } });
    expect(plain.stderr).toContain("\x1b[2Klimber: broken");
    expect((await run("fail", { commands })).stderr).toBe("a note\nwork 1/1 late\nlimber: broken (run.failed)\n");
    expect((await run("fail --quiet", { commands })).stderr).toBe("limber: broken (run.failed)\n");
  });
});
