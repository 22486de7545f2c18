import { configDefaults, defineConfig } from "vitest/config";

/** Tests that put something in place of a module of Node need modules of their own. */
const MOCKING = ["src/run/full-disk.test.ts", "src/run/worker.test.ts"];

export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: "shared",
          include: ["src/**/*.test.ts", "test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...MOCKING],
          // Files of one worker share the modules that they import: that was a third of the suite's time.
          isolate: false,
        },
      },
      { extends: true, test: { name: "mocking", include: MOCKING } },
    ],
  },
});
