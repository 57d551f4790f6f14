import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  binarySample,
  compareVersions,
  type Lpm01aFormat,
  type Lpm01aItem,
  Lpm01aParser,
  milli,
  parseVersion,
} from '../../../src/instruments/lpm01a/protocol.ts';
import { fuzz } from '../../support/fuzz.ts';
import { randomBelow } from '../../support/random.ts';

const ascii = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function parse(
  bytes: Uint8Array,
  format: Lpm01aFormat = 'ascii_dec',
  sizes: readonly number[] = [1 << 20],
): Lpm01aItem[] {
  const parser = new Lpm01aParser(format);
  const items: Lpm01aItem[] = [];
  for (let at = 0, k = 0; at < bytes.length; k++) {
    const n = sizes[k % sizes.length]!;
    items.push(...parser.push(bytes.subarray(at, at + n)));
    at += n;
  }
  return items;
}

/** Items in a short form: samples as numbers (runs joined), others as [kind, ...fields]. */
const short = (items: Lpm01aItem[]) =>
  items.flatMap((item): unknown[] => {
    if (item.kind === 'samples') return [...item.values];
    const { kind, ...fields } = item;
    return [[kind, ...Object.values(fields)]];
  });

const text = (input: string) => short(parse(ascii(input)));

describe('an ASCII sample of the LPM01A', () => {
  it('is mantissa times a power of ten, to the last digit', () => {
    expect(text('6409-07\r\n0000-10\r\n9999+02\r\n1234-30\r\n')).toEqual([6409e-7, 0, 9999e2, 1234e-30]);
  });

  it('may have a NUL byte before it, and line ends of either kind', () => {
    expect(text('\x006409-07\r\n6410-07\n')).toEqual([6409e-7, 6410e-7]);
  });

  it.each([
    [
      'merged with the next one',
      '1000-076409-076410-07\r\n2000-07\r\n',
      [['bad', 3, '1000-076409-076410-07'], 2000e-7],
    ],
    ['cut by a line end', '640\r\n9-07\r\n2000-07\r\n', [['bad', 1, '6409-07'], 2000e-7]],
    ['followed by text', '6409-07 buff\r\n2000-07\r\n', [['bad', 1, '6409-07 buff'], 2000e-7]],
    ['preceded by text', 'ack6409-07\r\n2000-07\r\n', [['bad', 1, 'ack6409-07'], 2000e-7]],
    ['too short', '09-07\r\n2000-07\r\n', [['bad', 1, '09-07'], 2000e-7]],
  ])('%s is no sample', (_name, input, expected) => {
    expect(text(input)).toEqual(expected);
  });
});

describe('lines between ASCII samples', () => {
  it.each([
    ['TimeStamp: 001s 000ms, buff 03%', ['timestamp', 1000, 3]],
    ['Timestamp: 012s 345ms, buff 100%', ['timestamp', 12345, 100]],
    ['TimeStamp: 001s 000ms> buff 03%', ['timestamp', 1000, 3]],
    ['TimeStamp: 001s 000ms< buff 03%', ['timestamp', 1000, 3]],
    ['event 07 ris', ['event', 7]],
    ['event 1234 ris', ['event', 1234]],
    ['PowerShield > ack pwr off', ['answer', true, 'pwr off']],
    ['PowerShield > err volt 9', ['answer', false, 'volt 9']],
    ['PowerShield > error pwr off', ['answer', false, 'pwr off']],
    ['ack htc', ['answer', true, 'htc']],
    ['Error detail: unknown command', ['detail', 'unknown command']],
    ['error buffer full', ['error', 'buffer full']],
    ['errorbuffer full', ['error', 'buffer full']],
    ['error overcurrent', ['overcurrent']],
    ['end', ['end']],
    ['PowerShield > Acquisition completed', ['end']],
    ['pwr off', ['power', false]],
    ['PowerShield > 6409-07', ['text', '6409-07']],
    ['hello', ['text', 'hello']],
  ])('%s', (line, expected) => {
    expect(text(`1000-07\r\n\r\n${line}\r\n2000-07\r\n`)).toEqual([1000e-7, expected, 2000e-7]);
  });

  it('of a summary hold no samples', () => {
    expect(text('end\r\n\r\nsummary beg\r\n1234-05\r\n9999-05\r\nsummary end\r\n')).toEqual([
      ['end'],
      ['text', 'summary beg'],
      ['text', '1234-05'],
      ['text', '9999-05'],
      ['text', 'summary end'],
    ]);
  });

  it('merged with a sample keep their event and lose the sample', () => {
    expect(text('event 03 ris6409-07\r\n6409-07event 04 ris\r\n1000-07\r\n')).toEqual([
      ['event', 3],
      ['bad', 2, '6409-076409-07'],
      ['event', 4],
      1000e-7,
    ]);
  });
});

describe('the binary format', () => {
  it('has 12 bits of mantissa and a power of 16', () => {
    expect(binarySample(0x52, 0xa0)).toBeCloseTo(640.869e-6, 9);
    expect(binarySample(0x31, 0x45)).toBeCloseTo(0.079345703, 9);
  });

  it('has samples and frames, whatever the chunks', () => {
    const stream = join(
      ascii('\r\nPowerShield > ack start\r\n'),
      hex('F0F300000000 00 FFFF 52A0 3145 F0F300000064 50 FFFF 52A0'),
      hex('F0F1'),
      ascii('buffer full\r\n'),
      hex('FFFF F0F2'),
      ascii('event 05 ris\r\n'),
      hex('FFFF F0F5FFFF F0F6FFFF F0F70CE4FFFF F0F8FFF6FFFF F0F901FFFF F0F380000064 00 FFFF 3145 F0F4FFFF'),
      ascii('\r\nPowerShield > Acquisition completed\r\n'),
    );
    const [a, b] = [binarySample(0x52, 0xa0), binarySample(0x31, 0x45)];
    const expected = [
      ['answer', true, 'start'],
      ['timestamp', 0, 0],
      a,
      b,
      ['timestamp', 100, 80],
      a,
      ['error', 'buffer full'],
      ['event', 5],
      ['overcurrent'],
      ['power', false],
      ['voltage', 3.3],
      ['temperature', -10],
      ['power', true],
      ['timestamp', 100, 0],
      b,
      ['end'],
      ['end'],
    ];
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 }), (sizes) => {
        expect(short(parse(stream, 'bin_hexa', sizes))).toEqual(expected);
      }),
      fuzz(200),
    );
  });

  it('takes an answer between samples for text, not for samples', () => {
    const stream = join(hex('F0F300000000 00 FFFF 52A0'), ascii('\r\nPowerShield > ack pwr off\r\n'), hex('3145'));
    for (const sizes of [[1], [7], [100]]) {
      expect(short(parse(stream, 'bin_hexa', sizes))).toEqual([
        ['timestamp', 0, 0],
        binarySample(0x52, 0xa0),
        ['answer', true, 'pwr off'],
        binarySample(0x31, 0x45),
      ]);
    }
  });

  it.each([1, 2, 3, 40])('finds the border again at the next time-stamp after a lost byte, in chunks of %i', (size) => {
    const stamp = (ms: number) => hex(`F0F3${ms.toString(16).padStart(8, '0')}00FFFF`);
    const samples = (n: number) => join(...Array.from({ length: n }, (_, i) => Uint8Array.of(0x52, (i * 7) & 0xff)));
    const stream = join(stamp(0), samples(100), samples(100).subarray(1), stamp(200), samples(3));
    const items = parse(stream, 'bin_hexa', [size]);
    const kinds = items.map((item) => item.kind).filter((kind) => kind !== 'samples');
    expect(kinds).toEqual(['timestamp', 'desync', 'timestamp']);
    const after = items.slice(items.findIndex((item) => item.kind === 'desync'));
    expect(short(after).length).toBe(2 + 3);
  });
});

describe('the LPM01A parser', () => {
  it.each(['ascii_dec', 'bin_hexa'] as const)(
    'survives mutated %s streams: finite samples, bounded items',
    (format) => {
      const frames = Number(process.env.JOULEMARK_FUZZ ?? 100_000);
      const perStream = 500;
      const random = randomBelow(4711);
      const asciiFrames = [
        '6409-07\r\n',
        '\r\nTimeStamp: 001s 000ms, buff 03%\r\n',
        'event 01 ris\r\n',
        '\r\nerror x\r\n',
        'end\r\n',
      ];
      const binaryFrames = ['52A0', 'F0F300000000 00 FFFF', 'F0F2 41420D0A FFFF', 'F0F901FFFF', 'F0F5FFFF'];
      for (let done = 0; done < frames; done += perStream) {
        const parts: Uint8Array[] = format === 'bin_hexa' ? [hex('F0F300000000 00 FFFF')] : [];
        for (let k = 0; k < perStream; k++) {
          const which = random(4) > 0 ? 0 : random(5);
          const frame = format === 'ascii_dec' ? ascii(asciiFrames[which]!) : hex(binaryFrames[which]!);
          if (random(2) === 0) frame[random(frame.length)] = random(256);
          parts.push(random(8) === 0 ? frame.subarray(random(frame.length)) : frame);
        }
        const stream = join(...parts);
        const items = parse(stream, format, [1 + random(300), 1 + random(9)]);
        let samples = 0;
        for (const item of items) {
          if (item.kind !== 'samples') continue;
          samples += item.values.length;
          if (!item.values.every(Number.isFinite)) expect.fail('a sample is not finite');
        }
        expect(samples).toBeLessThanOrEqual(stream.length / 2);
      }
    },
  );

  it('does not keep an endless line', () => {
    const parser = new Lpm01aParser('ascii_dec');
    for (let k = 0; k < 1000; k++) parser.push(ascii('1'.repeat(1000)));
    const [item] = parser.push(ascii('\r\n1000-07\r\n'));
    expect(item).toMatchObject({ kind: 'bad' });
    expect((item as { text: string }).text.length).toBeLessThan(1000);
  });
});

describe('spellings of the board', () => {
  it('give voltages in whole millivolts, cut as the MLCommons runner cuts them', () => {
    expect([3, 3.3, 1.8, 2.9999].map(milli)).toEqual(['3000m', '3300m', '1800m', '2999m']);
  });

  it('give versions that compare by number', () => {
    expect(parseVersion('version: 1.0.6')).toEqual([1, 0, 6]);
    expect(parseVersion('no idea')).toBeNull();
    expect(compareVersions([1, 0, 10], [1, 0, 6])).toBeGreaterThan(0);
    expect(compareVersions([1, 0, 0], [1, 0, 6])).toBeLessThan(0);
    expect(compareVersions([1, 0, 6], [1, 0, 6])).toBe(0);
  });
});

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
