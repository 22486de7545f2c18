import type { OnProgress, StopSignal } from "../base/index.js";
import type { NodeProvider } from "../run/node.js";

/** What a flag takes. `boolean` takes nothing; `list` is separated by commas; `pairs` is `key=value` and may be repeated. */
interface FlagKinds {
  boolean: boolean;
  text: string;
  number: number;
  list: readonly string[];
  numbers: readonly number[];
  /** Axes of a shape, `3x224x224`. */
  dims: readonly number[];
  pairs: Readonly<Record<string, string | number | boolean>>;
}

/** One flag; its key in camelCase is its name on the command line in kebab-case. */
export interface Flag<K extends keyof FlagKinds = keyof FlagKinds> {
  readonly kind: K;
  readonly help: string;
  /** What the help calls the value. */
  readonly value?: string;
  readonly required?: true;
  readonly default?: FlagKinds[K];
  /** For `text`: the only values allowed. */
  readonly choices?: readonly string[];
  /** For `number`: whole numbers unless `fraction`, within these bounds. */
  readonly minimum?: number;
  readonly maximum?: number;
  readonly fraction?: true;
}

export interface Argument {
  readonly help: string;
  readonly optional?: true;
}

export type Flags = Readonly<Record<string, Flag>>;
export type Arguments = Readonly<Record<string, Argument>>;

type ValueOf<F> = F extends { choices: readonly (infer C)[] }
  ? C
  : F extends { kind: infer K extends keyof FlagKinds }
    ? FlagKinds[K]
    : never;
/** Flags as a command sees them: there when required, defaulted or boolean, else perhaps undefined. */
export type FlagValues<F extends Flags> = {
  readonly [K in keyof F]: F[K] extends { required: true } | { default: unknown } | { kind: "boolean" }
    ? ValueOf<F[K]>
    : ValueOf<F[K]> | undefined;
};
type ArgumentValues<A extends Arguments> = {
  readonly [K in keyof A]: A[K] extends { optional: true } ? string | undefined : string;
};

/** What every command is given besides its own arguments and flags. */
export interface Surroundings {
  readonly signal: StopSignal & AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Seed of everything random. */
  readonly seed: number;
  /** Threads of one operator; undefined leaves the choice to the runtime. */
  readonly threads: number | undefined;
  /** What runs models. */
  readonly provider: NodeProvider;
  /** Draws progress on stderr, unless `--quiet`. */
  readonly onProgress: OnProgress;
  /** One line for a human on stderr, unless `--quiet`. */
  note(line: string): void;
}

/** What a command hands back: the object that `--json` prints, and the same for a human. */
export interface Outcome {
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** Default `EXIT.ok`. */
  readonly exitCode?: ExitCode;
}

export interface Command<A extends Arguments = Arguments, F extends Flags = Flags> {
  readonly name: string;
  readonly summary: string;
  readonly args: A;
  readonly flags: F;
  /** Command lines for the end of the help text, without the leading `limber`. */
  readonly examples: readonly string[];
  run(context: Surroundings & { readonly args: ArgumentValues<A>; readonly flags: FlagValues<F> }): Promise<Outcome>;
}

/** Declares a command. It parses nothing and prints nothing: it calls the library and returns what to say. */
export const defineCommand = <const A extends Arguments, const F extends Flags>(
  command: Command<A, F>,
): Command<A, F> => command;

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** A candidate was measured and not accepted. */
  refused: 3,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
