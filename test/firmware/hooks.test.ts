import { describe, expect, it } from 'vitest';
import { compileHooks, noCompiler, noCppCompiler, runProgram } from '../support/c-compiler.ts';

const includes = ['include', 'glue', 'test/host', 'test/stubs/nn'];

describe.skipIf(noCompiler !== null)(`the hooks on this machine ${noCompiler ?? ''}`, () => {
  it.each(['energy', 'performance'])('mark, pulse, send the sync pattern and wrap run() calls, %s mode', (mode) => {
    const program = compileHooks({
      sources: ['test/hooks_test.c', 'src/jm_sync.c'],
      includes,
      // A test may convert as it likes; the library's headers are checked by the other programs.
      options: ['-Wno-conversion', `-DEE_CFG_ENERGY_MODE=${mode === 'energy' ? 1 : 0}`],
    });
    expect(runProgram(program)).toEqual({ stdout: '', stderr: '', status: 0 });
  });

  it.skipIf(noCppCompiler !== null)(`wrap a TensorFlow Lite Micro interpreter ${noCppCompiler ?? ''}`, () => {
    const program = compileHooks({ sources: ['test/tflm_test.cpp'], includes, language: 'c++' });
    expect(runProgram(program)).toEqual({ stdout: '1 1\n', stderr: '', status: 0 });
  });

  const port = (define: string, folder: string, stubs: string, options: string[] = []) =>
    runProgram(
      compileHooks({
        sources: ['test/port_test.c'],
        includes: ['include', folder, stubs],
        options: [`-D${define}`, ...options],
      }),
    ).stdout.split('\n');

  it('write BSRR once a mark on STM32', () => {
    expect(port('PORT_STM32', 'ports/stm32-hal', 'test/stubs/stm32')).toEqual([
      'init A=00200000 B=80000000',
      'begin A=00000020 B=00000000',
      'end A=00200000 B=00000000',
      'warmup A=00000000 B=00008000',
      'batch A=00000000 B=00000000',
      // 5 ms and half of one.
      'start 5500',
      'waited 1',
      '',
    ]);
  });

  it('call digitalWrite on Arduino, and wait longer than delayMicroseconds can', () => {
    expect(port('PORT_ARDUINO', 'ports/arduino', 'test/stubs/arduino', ['-DJM_PIN_BATCH=9'])).toEqual([
      ...['pinMode 7 1', 'pinMode 9 1', 'digitalWrite 7 0', 'digitalWrite 9 0', 'init'],
      ...['digitalWrite 7 1', 'begin', 'digitalWrite 7 0', 'end', 'warmup', 'digitalWrite 9 1', 'batch'],
      ...['start 0', 'waited 40000', ''],
    ]);
  });

  it('set the pins that the devicetree names on Zephyr', () => {
    expect(port('PORT_ZEPHYR', 'ports/zephyr', 'test/stubs/zephyr')).toEqual([
      ...['configure 3 1', 'configure 4 1', 'set 3 0', 'set 4 0', 'init'],
      ...['set 3 1', 'begin', 'set 3 0', 'end', 'warmup', 'set 4 1', 'batch'],
      ...['start 0', 'waited 40000', ''],
    ]);
  });
});
