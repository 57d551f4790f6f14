import fc from 'fast-check';
import { expect, test } from 'vitest';
import { smallNetwork } from '../../src/dut/emulators/small-network.ts';
import { compileHooks, noCompiler, runProgram } from '../support/c-compiler.ts';
import { knownCorrect, referenceAnswer, testSet } from '../support/small-network.ts';

const inputs = testSet();

/** The fields of each answer of the C firmware, as it prints them. */
function firmwareAnswers(list: readonly Uint8Array[]): string[][] {
  const program = compileHooks({
    sources: ['ports/nrf51-qemu/main.c', 'test/host/uart.c', 'src/jm_monitor.c', 'src/jm_sync.c', 'network/jm_net.c'],
    includes: ['include', 'glue', 'network', 'ports/nrf51-qemu', 'test/host'],
    options: ['-DEE_CFG_ENERGY_MODE=0'],
  });
  const commands = list.map((bytes) => {
    const blocks = Buffer.from(bytes)
      .toString('hex')
      .match(/.{1,62}/g)!;
    return `db load ${bytes.length}%${blocks.map((block) => `db ${block}%`).join('')}infer 1 0%`;
  });
  const { stdout } = runProgram(program, commands.join(''));
  return [...stdout.matchAll(/m-results-\[([^\]]*)\]/g)].map(([, fields]) => fields.split(','));
}

test('the emulated network answers the test set as the reference does, and has its known accuracy', () => {
  const answers = inputs.map(({ bytes }) => smallNetwork.answer(bytes));
  expect(answers).toEqual(inputs.map(({ bytes }) => referenceAnswer(bytes)));
  const correct = answers.filter((fields, k) => {
    const scores = fields.map(Number);
    return scores.indexOf(Math.max(...scores)) === inputs[k].label;
  });
  expect(correct.length).toBe(knownCorrect);
});

test.skipIf(noCompiler !== null)(
  `it answers field for field as the C does, on the test set and on noise ${noCompiler ?? ''}`,
  () => {
    const noise = fc.sample(fc.uint8Array({ minLength: 490, maxLength: 490 }), { numRuns: 200, seed: 1 });
    const list = [
      ...inputs.map(({ bytes }) => bytes),
      ...noise,
      new Uint8Array(490).fill(0x80),
      new Uint8Array(490).fill(0x7f),
    ];
    expect(list.map((bytes) => smallNetwork.answer(bytes))).toEqual(firmwareAnswers(list));
  },
  30_000,
);

test('it answers inputs of any length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1000 }), (bytes) => {
      expect(smallNetwork.answer(bytes).length).toBe(12);
    }),
    { numRuns: 50 },
  );
});
