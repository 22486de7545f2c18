/**
 * TensorFlow.js and jax-js in the engine benchmark: the protocol of `peers/bench_engine.py`, for the modes that train
 * everything or only predict, and for ResNets and VGG-11. Its argument says which: tfjs-wasm, tfjs-cpu or jax-js-wasm.
 */
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

// Answers alone go to stdout, whatever a library has to say.
console.log = console.info = console.error;

const [library, backend] = /^(tfjs|jax-js)-(wasm|cpu)$/.exec(process.argv[2] ?? "")?.slice(1) ?? [];
const peers = { tfjs: () => import("./tfjs.mjs"), "jax-js": () => import("./jax-js.mjs") };
let prepared;

async function answer(command) {
  switch (command.cmd) {
    case "prepare": {
      const start = performance.now();
      const { prepare } = await peers[library]();
      prepared = { trains: command.trained !== null, ...(await prepare(command, backend)) };
      const { parameters, version } = prepared;
      return { parameters, version, prepare_ms: performance.now() - start };
    }
    case "step": {
      const ms = [];
      for (let i = 0; i < command.count; i++) {
        const start = performance.now();
        await step();
        ms.push(performance.now() - start);
      }
      return { ms };
    }
    case "memory":
      return { peak_rss_mb: peakResidentMb() };
    default:
      throw new Error(`command: prepare, step or memory, got ${command.cmd}`);
  }
}

async function step() {
  try {
    await prepared.step();
  } catch (error) {
    throw new Error(`cannot ${prepared.trains ? "train" : "predict"}: ${error.message}`);
  }
}

/** Linux hands `maxRSS` down from the process that started this one, so /proc comes first where it exists. */
function peakResidentMb() {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
  const [, peak] = /^VmHWM:\s+(\d+) kB/m.exec(status) ?? [];
  return (Number(peak ?? process.resourceUsage().maxRSS) * 1024) / 1e6;
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line)).catch(({ message }) => ({ error: message.slice(0, 300) }));
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
