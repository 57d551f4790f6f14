import { beforeAll, describe, expect, it } from 'vitest';
import { compileHooks, noCompiler, runProgram } from '../support/c-compiler.ts';

describe.skipIf(noCompiler !== null)(`the IO manager's logic ${noCompiler ?? ''}`, () => {
  let program = '';
  beforeAll(() => {
    program = compileHooks({
      sources: ['test/io_manager_test.c', 'io-manager/im_core.c'],
      includes: ['io-manager'],
    });
  });

  /** What it says to a session, without the last line, which tests the extension of the timer. */
  const session = (...lines: string[]): string[] => {
    const { stdout, stderr, status } = runProgram(program, `${lines.join('\n')}\n`);
    expect(status, stderr).toBe(0);
    return stdout.replaceAll('\r\n', '\n').trimEnd().split('\n').slice(0, -1);
  };

  it('accepts a command for the DUT before the DUT answers it, and marks what the DUT says', () => {
    expect(session('h dut infer 10 1%', 'd m-warmup-start-1\\nm-rea', 'd dy\\n')).toEqual([
      'm-dut-passthrough(infer 10 1)',
      'm-ready',
      '>infer 10 1',
      '>%',
      '[dut]: m-warmup-start-1',
      '[dut]: m-ready',
    ]);
  });

  it('stamps edges once its timer is enabled, falling ones or both', () => {
    const ready = 'm-ready';
    expect(
      session('e 1', 'h tm 0%', 'h enable-timer%', 'e 123', 'e 4294967295', 'p', 'h disable-timer%', 'e 5', 'p'),
    ).toEqual([
      ...['timer 0 1', 'm-timestmp-mode-FALLING', 'm-[Timer disabled after mode change]', ready],
      ...['timer 1 1', 'm-timer-enabled', ready, 'm-lap-us-123', 'm-lap-us-4294967295'],
      ...['timer 0 1', 'm-timer-disabled', ready],
    ]);
    expect(session('h tm 1%', 'h et%').filter((line) => line.startsWith('timer'))).toEqual(['timer 0 0', 'timer 1 0']);
  });

  it('never prints a timestamp inside a line of the DUT', () => {
    const long = 'x'.repeat(150);
    expect(session('h et%', `d m-results-[${long}`, 'e 7', 'p', 'd ]\\n', 'p').slice(3)).toEqual([
      `[dut]: m-results-[${long}]`,
      'm-lap-us-7',
    ]);
  });

  it('says how many edges it lost', () => {
    const edges = Array.from({ length: 20 }, (_, k) => `e ${k}`);
    const said = session('h et%', ...edges, 'p', 'p').slice(3);
    expect(said).toEqual([...Array.from({ length: 15 }, (_, k) => `m-lap-us-${k}`), 'e-[Lost 5 timestamps]']);
  });

  it('answers everything else with m-ready too', () => {
    for (const command of ['name', 'version', 'help', 'nonsense', 'a'.repeat(300), '']) {
      expect(session(`h ${command}%`).at(-1)).toBe('m-ready');
    }
    expect(session('h dutX%')[0]).toBe('e-[Unknown command: dutX]');
  });

  it('extends a 16-bit capture by the overflows, also by one that is not counted yet', () => {
    expect(runProgram(program).stdout).toBe(
      `extend ${2 * 65536 + 5} ${3 * 65536 + 5} ${2 * 65536 + 0xfff0} 4294967295\n`,
    );
  });
});
