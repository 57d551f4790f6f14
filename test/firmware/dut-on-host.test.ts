import { beforeAll, describe, expect, it } from 'vitest';
import { mSequence } from '../../src/signal/m-sequence.ts';
import { compileHooks, noCompiler, runProgram } from '../support/c-compiler.ts';
import { knownCorrect, referenceAnswer, testSet } from '../support/small-network.ts';

const firmware = (mode: 0 | 1) =>
  compileHooks({
    sources: ['ports/nrf51-qemu/main.c', 'test/host/uart.c', 'src/jm_monitor.c', 'src/jm_sync.c', 'network/jm_net.c'],
    includes: ['include', 'glue', 'network', 'ports/nrf51-qemu', 'test/host'],
    options: [`-DEE_CFG_ENERGY_MODE=${mode}`],
  });

const bootPerformance = 'm-timestamp-mode-performance\r\nm-lap-us-0\r\nm-init-done\r\nm-ready\r\n';
const bootEnergy = 'm-timestamp-mode-energy\r\nm-init-done\r\nm-ready\r\n';
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const download = (bytes: Uint8Array) =>
  `db load ${bytes.length}%${[...(hex(bytes).match(/.{1,62}/g) ?? [])].map((part) => `db ${part}%`).join('')}`;

describe.skipIf(noCompiler !== null)(`the DUT firmware as a program of this machine ${noCompiler ?? ''}`, () => {
  let performance = '';
  let energy = '';
  beforeAll(() => {
    performance = firmware(0);
    energy = firmware(1);
  });

  /** What the firmware answers to commands, without its boot text. */
  const ask = (commands: string, program = performance, boot = bootPerformance): string => {
    const { stdout, stderr, status } = runProgram(program, commands);
    expect(status, stderr).toBe(0);
    expect(stdout.startsWith(boot), stdout.slice(0, 200)).toBe(true);
    return stdout.slice(boot.length);
  };

  it.each([
    ['name%', 'm-name-dut-[Joulemark microbit]\r\n'],
    ['profile%', 'm-profile-[ULPMark for tinyML Firmware V0.0.1]\r\nm-model-[kws01]\r\n'],
    ['timestamp%', 'm-lap-us-0\r\n'],
    ['nonsense 1 2%', 'e-[Unknown command: nonsense]\r\n'],
    ['name\n%', 'e-[Unknown command: name\n]\r\n'],
    ['%', 'e-[Unknown command: ]\r\n'],
    ['db%', "e-[Command 'db' requires a subcommand]\r\n"],
    ['db load%', "e-[Command 'db load' requires the # of bytes]\r\n"],
    ['db load 0%', "e-[Command 'db load' must be >0 bytes]\r\n"],
    ['db load -7%', "e-[Command 'db load' must be >0 bytes]\r\n"],
    ['db load many%', "e-[Command 'db load' must be >0 bytes]\r\n"],
    ['db load 16%', 'm-[Expecting 16 bytes]\r\n'],
    ['db load 99999999999%', 'Supplied buffer size 2147483647 exceeds maximum of 980\n'],
    ['db abc%', 'e-[Insufficent number of hex digits]\r\n'],
    ['db 12xy%', "e-[Invalid hex digit 'xy']\r\n"],
    ['infer 0%', 'e-[Inference iterations must be >0]\r\n'],
    ['infer x%', 'e-[Inference iterations must be >0]\r\n'],
    ['infer 1 -1%', 'e-[Inference warmup must be >=0]\r\n'],
    ['sync 7 2000%', 'm-sync-start-7-2000\r\nm-sync-done\r\n'],
    ['sync%', 'e-[Sync order must be 7, 9, 10 or 11]\r\n'],
    ['sync 8 2000%', 'e-[Sync order must be 7, 9, 10 or 11]\r\n'],
    ['sync 9%', 'e-[Sync chips must last 100 to 1000000 us]\r\n'],
    ['sync 9 99%', 'e-[Sync chips must last 100 to 1000000 us]\r\n'],
    ['sync 11 1000001%', 'e-[Sync chips must last 100 to 1000000 us]\r\n'],
  ])('answers %j as the protocol says', (command, answer) => {
    expect(ask(command)).toBe(`${answer}m-ready\r\n`);
  });

  it('keeps the first 80 characters of a command', () => {
    expect(ask(`${'a'.repeat(100)}%`)).toBe(`e-[Unknown command: ${'a'.repeat(80)}]\r\nm-ready\r\n`);
    expect(ask(`name ${'b'.repeat(500)}%`)).toBe('m-name-dut-[Joulemark microbit]\r\nm-ready\r\n');
  });

  it('says that a download is complete once, ignores what is too much and gives the bytes back', () => {
    const ready = 'm-ready\r\n';
    expect(ask('db load 10%db 00010203%db 0405060708090a0b%db ff%db print%')).toBe(
      `m-[Expecting 10 bytes]\r\n${ready}${ready}m-load-done\r\n${ready}${ready}` +
        `m-buffer-00-01-02-03-04-05-06-07\r\nm-buffer-08-09\r\n\r\n${ready}`,
    );
    expect(ask('db load 8%db 0001020304050607%db print%').split(ready)[2]).toBe('m-buffer-00-01-02-03-04-05-06-07\r\n');
  });

  it('never writes beyond its buffer, whatever the host announces', () => {
    const blocks = `db ${'5a'.repeat(31)}%`.repeat(60);
    const answer = ask(`db load 5000%${blocks}name%`);
    expect(answer.startsWith('Supplied buffer size 5000 exceeds maximum of 980\n')).toBe(true);
    expect(answer.endsWith('m-name-dut-[Joulemark microbit]\r\nm-ready\r\n')).toBe(true);
  });

  it('says when an input has the wrong size', () => {
    expect(ask('db load 4%db 01020304%infer 1 0%')).toContain('Input db has 4 elemented, expected 490\n');
    expect(ask('db load 490%db 0102%infer 1 0%')).toContain('Input db has 2 elemented, expected 490\n');
  });

  it('warms up 10 times and infers once unless told otherwise', () => {
    expect(ask('infer%').split('\r\n').slice(0, 4)).toEqual([
      'Input db has 0 elemented, expected 490\nm-warmup-start-10',
      'm-warmup-done',
      'm-infer-start-1',
      'm-lap-us-0',
    ]);
  });

  it('pulses the trigger line low twice around the inferences in energy mode, and prints no lap', () => {
    const [input] = testSet();
    const { stdout, stderr } = runProgram(energy, `${download(input.bytes)}infer 25 3%`);
    expect(stdout).not.toContain('m-lap');
    expect(stdout.startsWith(bootEnergy)).toBe(true);
    const trigger = stderr.match(/^0 [01]$/gm);
    // Idle high; one pulse at boot, two around the window.
    expect(trigger).toEqual(['0 1', ...['0 0', '0 1', '0 0', '0 1', '0 0', '0 1']]);
  });

  it('holds the trigger line high during each inference in performance mode, and not during warm-up', () => {
    const [input] = testSet();
    const { stderr } = runProgram(performance, `${download(input.bytes)}infer 4 3%`);
    expect(stderr.match(/^0 [01]$/gm)).toEqual(['0 0', ...['0 1', '0 0', '0 1', '0 0', '0 1', '0 0', '0 1', '0 0']]);
    // Warm-up and batch lines: low at start, then high and low once.
    expect(stderr.match(/^1 [01]$/gm)).toEqual(['1 0', '1 1', '1 0']);
    expect(stderr.match(/^2 [01]$/gm)).toEqual(['2 0', '2 1', '2 0']);
  });

  it.each([0, 1])('plays the sync pattern on the trigger line and leaves that as it idles: %i', (idle) => {
    const { stderr } = runProgram(idle === 1 ? energy : performance, 'sync 9 500%');
    const levels = stderr.match(/^0 [01]$/gm)!.map((line) => Number(line.at(-1)));
    // A boot leaves its own changes before.
    expect(levels.slice(-512)).toEqual([...mSequence(9), idle]);
  });

  it(`answers the whole test set as the reference does, ${knownCorrect} of 120 correctly`, () => {
    const inputs = testSet();
    const answer = ask(inputs.map(({ bytes }) => `${download(bytes)}infer 1 0%`).join(''));
    const answers = [...answer.matchAll(/m-results-\[([^\]]*)\]/g)].map((match) => match[1].split(','));
    expect(answers).toEqual(inputs.map(({ bytes }) => referenceAnswer(bytes)));
    const correct = answers.filter((fields, k) => {
      const scores = fields.map(Number);
      return scores.indexOf(Math.max(...scores)) === inputs[k].label;
    });
    expect(correct).toHaveLength(knownCorrect);
  });
});
