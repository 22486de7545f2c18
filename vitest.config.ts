import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    // Files of one worker share the modules that they import, which is a third of the suite's time.
    isolate: false,
    maxWorkers: 2,
  },
});
