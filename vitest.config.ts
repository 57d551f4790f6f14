import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Tests of the command line run the compiled program, so it is compiled first.
    globalSetup: 'test/support/build.ts',
    // Tests in real time (PTYs, killed processes, QEMU) can be starved on a busy machine; CI gives them another chance.
    retry: process.env.CI ? 2 : 0,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
  },
});
