import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { LimberError } from "../base/index.js";

export type Command =
  | {
      readonly cmd: "prepare";
      readonly network: string;
      readonly batch: number;
      readonly imageSize: number;
      readonly threads: number;
      readonly channels_last: boolean;
    }
  | { readonly cmd: "step"; readonly count: number }
  | { readonly cmd: "memory" }
  | { readonly cmd: "quit" };

export interface Answer {
  readonly parameters?: number;
  readonly prepare_ms?: number;
  readonly torch?: string;
  readonly ms?: readonly number[];
  readonly peak_rss_mb?: number;
  readonly error?: string;
}

/** A process that times one network, spoken to in lines of JSON. */
export class Peer {
  private readonly waiting: { resolve(answer: Answer): void; reject(error: LimberError): void }[] = [];
  private complaint = "";

  private constructor(
    private readonly name: string,
    private readonly process: ChildProcess,
  ) {
    createInterface({ input: process.stdout! }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer;
      const next = this.waiting.shift();
      if (answer.error === undefined) next?.resolve(answer);
      else next?.reject(new LimberError("run.failed", `peer ${name}: an answer, got "${answer.error}"`));
    });
    process.stderr!.on("data", (text: Buffer) => (this.complaint = (this.complaint + text.toString()).slice(-2000)));
    process.on("error", (cause) => this.end(cause.message));
    process.on("exit", (code) => this.end(`exit code ${code}: ${this.complaint.trim()}`));
  }

  static start(name: string, command: string, args: readonly string[]): Peer {
    return new Peer(name, spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] }));
  }

  ask(command: Command): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.process.stdin!.write(`${JSON.stringify(command)}\n`, (error) => error && this.end(error.message));
    });
  }

  stop(): void {
    this.process.removeAllListeners("exit");
    this.process.kill();
  }

  private end(reason: string): void {
    for (const { reject } of this.waiting.splice(0)) {
      reject(new LimberError("run.failed", `peer ${this.name}: a running process, got ${reason}`));
    }
  }
}
