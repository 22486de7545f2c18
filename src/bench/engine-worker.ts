/**
 * Our side of the engine benchmark, one network in one process: the same protocol as `peers/bench_engine.py`, one JSON
 * command per line on stdin, one JSON answer per line on stdout.
 */
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { isLimberError } from "../base/index.js";
import { prepare, type Prepared } from "./ours.js";
import type { Answer, Command } from "./protocol.js";
import { measureRoof } from "./roof.js";

let prepared: Prepared | undefined;

async function answer(command: Command): Promise<Answer> {
  switch (command.cmd) {
    case "prepare":
      prepared = await prepare(command);
      return prepared.answer;
    case "step": {
      const ms: number[] = [];
      for (let i = 0; i < command.count; i++) {
        const began = performance.now();
        await prepared!.step();
        ms.push(performance.now() - began);
      }
      return { ms };
    }
    case "memory":
      return { peak_rss_mb: peakResidentMb() };
    case "roof":
      return { gmac_per_s: await measureRoof(command.threads) };
  }
}

/** Linux hands `maxRSS` down from the process that started this one, so /proc comes first where it exists. Units: 10⁶ bytes. */
function peakResidentMb(): number {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
  const [, peak] = /^VmHWM:\s+(\d+) kB/m.exec(status) ?? [];
  return (Number(peak ?? process.resourceUsage().maxRSS) * 1024) / 1e6;
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line) as Command).catch((cause: unknown): Answer => {
    return { error: isLimberError(cause) ? cause.message : String(cause) };
  });
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
