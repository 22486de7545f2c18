#!/usr/bin/env node
import { EXIT } from "./command.js";
import { runCli } from "./run.js";

const controller = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (controller.signal.aborted) return dieOf(name);
    process.stderr.write("\nlimber: stopping cleanly; once more to stop at once\n");
    controller.abort();
  });
}

/** As without a handler. `process.exit` would end the threads that compute in the midst of native code, which aborts. */
function dieOf(signal: "SIGINT" | "SIGTERM"): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

/** A reader that closes the pipe early (`limber inspect m.onnx | head`) is no failure; nothing that follows would be read. */
let closed: number | undefined;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  closed = error.code === "EPIPE" ? EXIT.ok : EXIT.failure;
  controller.abort();
});

const code = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: controller.signal,
  env: process.env,
  isTTY: process.stderr.isTTY,
});
process.exitCode = closed ?? code;
