import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Tests of the command line run the compiled program, so it is compiled first.
    globalSetup: 'test/support/build.ts',
    // The long tests wait for real time more than they compute: a second one at a time fits on two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Tests in real time (PTYs, killed processes, QEMU) can be starved on a busy machine; CI gives them another chance.
    retry: process.env.CI ? 2 : 0,
    // Properties without a number of cases of their own take JOULEMARK_FUZZ from here.
    setupFiles: process.env.JOULEMARK_FUZZ ? 'test/support/fuzz.ts' : [],
    testTimeout: process.env.JOULEMARK_FUZZ ? 24 * 3600_000 : 60_000,
    hookTimeout: 60_000,
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
});
