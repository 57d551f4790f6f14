import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blockCommands, LineCutter, parseDutLine, printedAlike, type ReceivedLine } from '../../src/dut/protocol.ts';
import { Random } from '../../src/plant/random.ts';

/** Lines of a fuzz run. */
const fuzzLines = Number(process.env.JOULEMARK_FUZZ ?? 50_000);

const intact = (text: string): ReceivedLine => ({ text, isDamaged: false, isCut: false });
const kindsOf = (text: string) => parseDutLine(intact(text)).messages.map(({ kind }) => kind);
const linesOf = (bytes: Uint8Array | string) => new LineCutter().push(Buffer.from(bytes as string, 'latin1'));

describe('a line of a DUT', () => {
  test('is read as the message that it is', () => {
    const messages = [
      'm-timestamp-mode-energy',
      'm-init-done',
      'm-ready',
      'm-name-dut-[a name (x)]',
      'm-profile-[ULPMark for tinyML Firmware V0.0.1]',
      'm-model-[kws01]',
      'm-[Expecting 490 bytes]',
      'Expecting 490 bytes',
      'm-load-done',
      'm-warmup-start-1',
      'm-warmup-done',
      'm-infer-start-250',
      'm-lap-us-227843693',
      'm-infer-done',
      'm-buffer-0a-ff-42',
      'm-results-[0.000,0.996]',
      "e-[Command 'db' requires a subcommand]",
    ].map((text) => parseDutLine(intact(text)).messages[0]);
    expect(messages).toMatchObject([
      { kind: 'timestamp-mode', mode: 'energy' },
      { kind: 'init-done' },
      { kind: 'ready' },
      { kind: 'name', text: 'a name (x)' },
      { kind: 'profile', text: 'ULPMark for tinyML Firmware V0.0.1' },
      { kind: 'model', text: 'kws01' },
      { kind: 'expecting', bytes: 490 },
      { kind: 'expecting', bytes: 490 },
      { kind: 'load-done' },
      { kind: 'warmup-start', warmups: 1 },
      { kind: 'warmup-done' },
      { kind: 'infer-start', inferences: 250 },
      { kind: 'lap', time_us: 227_843_693 },
      { kind: 'infer-done' },
      { kind: 'buffer', bytes: Buffer.from('0aff42', 'hex') },
      { kind: 'results', values: [0, 0.996], fields: ['0.000', '0.996'] },
      { kind: 'error', text: "Command 'db' requires a subcommand" },
    ]);
  });

  test('gives all its messages where a lost line end merged two', () => {
    expect(parseDutLine(intact('m-infer-donem-results-[0.1,0.9]m-ready'))).toMatchObject({
      messages: [{ kind: 'infer-done' }, { kind: 'results', values: [0.1, 0.9] }, { kind: 'ready' }],
      oddities: ['merged'],
    });
  });

  test('gives a message without a value behind other text, as real firmware prints it', () => {
    expect(parseDutLine(intact('th_load_tensor starting at 228130812m-warmup-start-1'))).toEqual({
      messages: [{ kind: 'warmup-start', warmups: 1 }],
      oddities: ['text-before'],
    });
    expect(kindsOf('42, 43, m-ready')).toEqual(['ready']);
  });

  test('gives no answer unless it is intact from end to end', () => {
    for (const text of [
      'xm-results-[0.1,0.9]',
      'm-results-[0.1,0.9]x',
      'm-results-[0.1,0.9',
      'm-results-[0.1,,0.9]',
      'm-results-[]',
      'm-results-[0.1;0.9]',
      'm-results-[0.1.2,0.9]',
      'm-results-[0.1 0.9]',
      'm-results-[nan,0.9]',
      'm-results-[0x1,0.9]',
      'm-results-[1e999]',
      'm-result-[0.1,0.9]',
      'Received command: m-results-[0.1]',
      'm-results-[0.1m-results-[0.2]',
    ]) {
      expect(kindsOf(text), text).not.toContain('results');
      expect(parseDutLine(intact(text)).oddities, text).not.toEqual([]);
    }
    expect(kindsOf('e-[Unknown command: m-results-[0.1,0.9]')).toEqual(['error']);
    expect(parseDutLine({ text: 'm-results-[0.1]', isDamaged: true, isCut: false }).messages).toEqual([]);
    expect(parseDutLine({ text: 'm-results-[0.1]', isDamaged: false, isCut: true }).messages).toEqual([]);
  });

  test('is text where it is neither a message nor looks like one', () => {
    expect(parseDutLine(intact('Acts (infer): [  -121,   -104, ]'))).toEqual({ messages: [], oddities: [] });
    expect(parseDutLine(intact('   '))).toEqual({ messages: [], oddities: [] });
  });
});

describe('bytes become lines', () => {
  test('at LF, with CR LF the same', () => {
    expect(linesOf('m-ready\r\nx\n').map(({ text }) => text)).toEqual(['m-ready', 'x']);
  });

  test('and a byte that no DUT prints marks the line as damaged', () => {
    for (const bytes of ['m-re\0ady\n', 'm-re\xffady\n', 'm-re\rady\n', 'm-re\x1bady\n']) {
      expect(linesOf(bytes)).toEqual([{ text: 'm-ready', isDamaged: true, isCut: false }]);
    }
  });

  test('with bounded memory', () => {
    const cutter = new LineCutter();
    for (let k = 0; k < 100; k++) cutter.push(new Uint8Array(10_000).fill(0x41));
    expect(cutter.pending.length).toBeLessThan(1000);
    const [line] = cutter.push(Buffer.from('\n'));
    expect(line).toMatchObject({ isCut: true });
    expect(line!.text.length).toBeLessThan(70_000);
  });

  test('the same however they are split', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(20)), (bytes, sizes) => {
        const whole = new LineCutter().push(bytes);
        const cutter = new LineCutter();
        const parts = [];
        let at = 0;
        for (const size of sizes) {
          parts.push(...cutter.push(bytes.subarray(at, at + size)));
          at += size;
        }
        parts.push(...cutter.push(bytes.subarray(at)));
        expect(parts).toEqual(whole);
      }),
    );
  });
});

test('numbers that are not printed alike betray a lost character', () => {
  expect(printedAlike(['0.000', '0.996'])).toBe(true);
  expect(printedAlike(['-121', '4'])).toBe(true);
  expect(printedAlike(['0.00', '0.996'])).toBe(false);
  expect(printedAlike(['1', '0.996'])).toBe(false);
  expect(printedAlike(['0.000', '.996'])).toBe(false);
  expect(printedAlike(['0.000', '01.000'])).toBe(false);
  expect(printedAlike(['10.000', '-0.996'])).toBe(true);
});

test('an input is cut into blocks of hex digits', () => {
  const commands = [
    ...blockCommands(
      Uint8Array.from({ length: 60 }, (_, k) => k),
      26,
    ),
  ];
  expect(commands.map(({ sent }) => sent)).toEqual([26, 52, 60]);
  expect(commands[2]!.command).toBe('db 3435363738393a3b');
  expect(commands.every(({ command }) => command.length < 80)).toBe(true);
});

describe('fuzzed output', () => {
  const known = [
    'm-ready',
    'm-infer-done',
    'm-lap-us-1234567',
    'm-results-[0.000,0.123,0.877]',
    'm-model-[kws01]',
    'e-[Unknown command: x]',
    'm-warmup-start-1',
    'Softmax: [ 2, 5, 19 ]',
  ];

  test(`of ${fuzzLines} lines brings no crash, no hang and no answer that was not sent so`, () => {
    const random = new Random(99);
    const cutter = new LineCutter();
    let answers = 0;
    for (let n = 0; n < fuzzLines; n++) {
      const bytes: number[] = [];
      for (let part = 0; part <= random.below(3); part++) {
        bytes.push(...Buffer.from(known[random.below(known.length)]!, 'latin1'));
      }
      const damage = random.below(4);
      for (let k = 0; k < damage; k++) {
        const at = random.below(bytes.length + 1);
        const how = random.below(4);
        if (how === 0) bytes.splice(at, 1);
        else if (how === 1) bytes.splice(at, 0, random.below(256));
        else if (how === 2) bytes[at] = random.below(256);
        else bytes.splice(at, random.below(20));
      }
      const sent = Buffer.from(bytes);
      for (const line of cutter.push(Buffer.concat([sent, Buffer.from('\r\n')]))) {
        for (const message of parseDutLine(line).messages) {
          if (message.kind !== 'results') continue;
          answers++;
          // What is read stands in the line that was sent, letter for letter, with its brackets.
          const text = `m-results-[${message.fields.join(',')}`;
          const told = sent.toString('latin1').replaceAll(', ', ',');
          if (!told.includes(text)) throw new Error(`a false answer: ${text} of ${JSON.stringify(told)}`);
        }
      }
    }
    expect(answers).toBeGreaterThan(0);
  }, 600_000);

  test('of any characters is survived', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 500, unit: 'binary' }), (text) => {
        for (const line of linesOf(`${text}\n`)) parseDutLine(line);
      }),
    );
  });

  test('that is made to be slow to match is read at once', () => {
    for (const text of [
      `m-results-[${'1,'.repeat(30_000)}`,
      `m-results-[${'1'.repeat(60_000)}]`,
      'm-'.repeat(30_000),
      'e-['.repeat(20_000),
      `m-buffer-${'00-'.repeat(20_000)}`,
      'm-ready'.repeat(9000),
      `${'m-ready'.repeat(9000)}x`,
    ]) {
      const begun = performance.now();
      parseDutLine(intact(text));
      expect(performance.now() - begun, text.slice(0, 20)).toBeLessThan(500);
    }
  });
});
