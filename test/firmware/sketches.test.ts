import { describe, expect, it } from 'vitest';
import { checkSketch, noCppCompiler } from '../support/c-compiler.ts';

describe.skipIf(noCppCompiler !== null)(`the sketches ${noCppCompiler ?? ''}`, () => {
  it.each([
    ['io-manager/io-manager.ino', 'any board', []],
    ['io-manager/io-manager.ino', 'an AVR', ['-D__AVR__']],
    ['ina226-bridge/ina226-bridge.ino', 'any board', []],
  ])('compile: %s for %s', (sketch, _, options) => {
    expect(() => checkSketch(sketch, options)).not.toThrow();
  });
});
