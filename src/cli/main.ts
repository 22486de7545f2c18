#!/usr/bin/env node
import { EXIT } from "./command.js";
import { runCli } from "./run.js";

const controller = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    process.stderr.write("\nlimber: stopping cleanly; once more to stop at once\n");
    controller.abort();
  });
}
// A reader that closes the pipe early (`limber inspect m.onnx | head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failure),
);

process.exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: controller.signal,
  env: process.env,
  isTTY: process.stderr.isTTY,
});
