import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { LimberError } from "../base/index.js";
import type { Answer, Command } from "./protocol.js";

/** A process that times one network, spoken to in lines of JSON. */
export class Peer {
  private readonly waiting: { resolve(answer: Answer): void; reject(error: LimberError): void }[] = [];
  private complaint = "";
  private ended: string | undefined;

  private constructor(
    private readonly name: string,
    private readonly process: ChildProcess,
  ) {
    createInterface({ input: process.stdout! }).on("line", (line) => this.hear(line));
    process.stderr!.on("data", (text: Buffer) => (this.complaint = (this.complaint + text.toString()).slice(-2000)));
    process.stdin!.on("error", () => undefined); // what it did not read: its exit tells why
    process.on("error", (cause) => this.end(cause.message));
    process.on("close", (code) => this.end(`exit code ${code}: ${this.complaint.trim()}`));
  }

  static start(name: string, command: string, args: readonly string[]): Peer {
    return new Peer(name, spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] }));
  }

  /** Throws: `run.failed` when the process answers with an error, or not at all. */
  ask(command: Command): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      if (this.ended !== undefined) this.end(this.ended);
      else this.process.stdin!.write(`${JSON.stringify(command)}\n`);
    });
  }

  stop(reason = "a request to stop"): void {
    this.process.kill("SIGKILL");
    this.end(reason);
  }

  private hear(line: string): void {
    const next = this.waiting.shift();
    const answer = parse(line);
    if (answer.error === undefined) next?.resolve(answer);
    else next?.reject(new LimberError("run.failed", answer.error, { peer: this.name }));
  }

  private end(reason: string): void {
    this.ended ??= reason;
    for (const { reject } of this.waiting.splice(0)) {
      reject(new LimberError("run.failed", `peer ${this.name}: a running process, got ${reason}`));
    }
  }
}

function parse(line: string): Answer {
  try {
    return JSON.parse(line) as Answer;
  } catch {
    return { error: `peer: a line of JSON, got "${line.slice(0, 200)}"` };
  }
}
