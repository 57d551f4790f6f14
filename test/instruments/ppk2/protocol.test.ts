import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  completeMetadata,
  Ppk2Decoder,
  parseMetadata,
  ppk2Command,
  ppk2Current,
  SpikeFilter,
} from '../../../src/instruments/ppk2/protocol.ts';
import { type Ppk2Modifiers, ppk2DefaultModifiers } from '../../../src/instruments/ppk2/spec.ts';
import type { Gap, SampleBlock } from '../../../src/signal/types.ts';
import { fuzz } from '../../support/fuzz.ts';
import { randomBelow } from '../../support/random.ts';

const zeros = [0, 0, 0, 0, 0];
const ones = [1, 1, 1, 1, 1];

/** Specs 6.4: an invented device. */
const device: Ppk2Modifiers = {
  R: ppk2DefaultModifiers.R,
  O: [121.5, 109.7, 90.6, 61.8, 75.9],
  GS: [1, 1.01, 0.98, 1.02, 1.03],
  GI: [0.9695, 0.9648, 0.9636, 0.9539, 0.9404],
  S: [1.2e-7, 8e-8, 1e-6, 3e-6, 4e-5],
  I: [-5e-8, 1e-8, 1e-7, 1e-6, 1e-5],
  UG: ones,
};

type Item = ReturnType<Ppk2Decoder['push']>[number];

const decoder = () => new Ppk2Decoder(ppk2DefaultModifiers, 0, 'main', 'test');
const blocksOf = (items: Item[]) => items.filter((item): item is SampleBlock => item.kind === 'block');
const gapsOf = (items: Item[]) => items.filter((item): item is Gap => item.kind === 'gap');
/** [tick, range] of each sample. */
const samplesOf = (items: Item[]) =>
  blocksOf(items).flatMap((block) =>
    Array.from(block.range!, (range, i): [number, number] => [block.firstTick + i, range]),
  );

/** Bytes of words with consecutive counters; sample k has code k mod 10,000. */
function words(n: number, options: { first?: number; range?: number; logic?: number; code?: number } = {}): Uint8Array {
  const { first = 0, range = 2, logic = 0 } = options;
  const view = new DataView(new ArrayBuffer(4 * n));
  for (let i = 0; i < n; i++) {
    const code = options.code ?? (first + i) % 10_000;
    view.setUint32(4 * i, ((logic << 24) | (((first + i) & 63) << 18) | (range << 14) | code) >>> 0, true);
  }
  return new Uint8Array(view.buffer);
}

const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

describe('the current of a PPK2 word', () => {
  it('follows the formula with the default coefficients', () => {
    const word = 0xa58483e8;
    expect(ppk2Current(word & 0x3fff, (word >>> 14) & 7, ppk2DefaultModifiers, 0)).toBeCloseTo(0.00434833276581, 14);
  });

  it.each([
    [0, 5.00562977e-5],
    [1, 5.0381388851e-4],
    [2, 5.08409682127e-3],
    [3, 5.7662526076e-2],
    [4, 2.75603650975],
  ])('follows the formula with calibrated coefficients in range %i', (range, expected) => {
    expect(ppk2Current(1234, range, device, 3300) / expected).toBeCloseTo(1, 8);
  });
});

describe('the PPK2 decoder', () => {
  it('takes a word apart', () => {
    const items = decoder().push(
      join(Uint8Array.from([0xe8, 0x83, 0x84, 0xa5]), words(20, { first: 34, logic: 0x80 })),
    );
    const block = blocksOf(items)[0]!;
    expect(block.current![0]).toBe(Math.fround(0.00434833276581));
    expect([block.range![0], block.logic![0], block.logic![1]]).toEqual([2, 0xa5, 0x80]);
    expect(block).toMatchObject({ firstTick: 0, ticksPerSample: 1, length: 21 });
  });

  it('gives the same samples however the bytes are cut', () => {
    const stream = words(3000, { logic: 0x11 });
    const whole = blocksOf(decoder().push(stream));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 999 }), { minLength: 1, maxLength: 40 }), (cuts) => {
        const split = decoder();
        const items: Item[] = [];
        for (let at = 0, k = 0; at < stream.length; k++) {
          const n = cuts[k % cuts.length]!;
          items.push(...split.push(stream.subarray(at, at + n)));
          at += n;
        }
        expect(gapsOf(items)).toEqual([]);
        expect(blocksOf(items).flatMap((block) => [...block.current!])).toEqual([...whole[0]!.current!]);
      }),
      fuzz(50),
    );
  });

  it('skips stale bytes before the first whole word', () => {
    const items = decoder().push(join(Uint8Array.of(1, 2, 3), words(100, { first: 50 })));
    expect(samplesOf(items).length).toBe(100);
    expect(samplesOf(items)[0]).toEqual([0, 2]);
    expect(gapsOf(items)).toEqual([]);
  });

  it.each([1, 2, 17, 62, 63])('counts %i lost samples by the counter', (lost) => {
    const items = decoder().push(join(words(100), words(100, { first: 100 + lost, range: 3 })));
    expect(gapsOf(items)).toEqual([{ kind: 'gap', stream: 'main', firstTick: 100, count: lost, cause: 'link-loss' }]);
    expect(samplesOf(items)[100]).toEqual([100 + lost, 3]);
    expect(samplesOf(items).length).toBe(200);
  });

  it('cannot see 64 lost samples, and counts 65 as 1: the wall clock must', () => {
    expect(gapsOf(decoder().push(join(words(100), words(100, { first: 164 }))))).toEqual([]);
    expect(gapsOf(decoder().push(join(words(100), words(100, { first: 165 }))))).toMatchObject([{ count: 1 }]);
  });

  it('replaces one damaged word by a gap of one and duplicates nothing', () => {
    const stream = words(200);
    stream[4 * 80 + 2] = stream[4 * 80 + 2]! ^ 0xfc;
    const items = decoder().push(stream);
    expect(gapsOf(items)).toEqual([{ kind: 'gap', stream: 'main', firstTick: 80, count: 1, cause: 'invalid' }]);
    expect(samplesOf(items).map(([tick]) => tick)).toEqual([...Array(200).keys()].filter((k) => k !== 80));
  });

  it('takes a range beyond 4 for a damaged word', () => {
    const stream = words(200);
    stream[4 * 80 + 1] = stream[4 * 80 + 1]! | 0xc0;
    stream[4 * 80 + 2] = stream[4 * 80 + 2]! | 1;
    expect(gapsOf(decoder().push(stream))).toMatchObject([{ firstTick: 80, count: 1, cause: 'invalid' }]);
  });

  it.each([1, 2, 3, 5, 30])(
    'finds the border again after %i lost bytes, and loses only the damaged samples',
    (lost) => {
      const stream = words(400, { logic: 3 });
      const items = decoder().push(join(stream.subarray(0, 4 * 200 + 1), stream.subarray(4 * 200 + 1 + lost)));
      const missing = Math.ceil((lost + 1) / 4);
      expect(gapsOf(items)).toMatchObject([{ firstTick: 200, count: missing }]);
      expect(samplesOf(items).length).toBe(400 - missing);
      expect(samplesOf(items).at(-1)).toEqual([399, 2]);
      expect(items.filter((item) => item.kind === 'resync')).toMatchObject([{ tick: 200 + missing }]);
    },
  );

  it.each([1, 2, 3, 4, 21])('skips %i bytes of rubbish without losing time', (extra) => {
    const stream = words(400, { logic: 3 });
    const rubbish = Uint8Array.from({ length: extra }, (_, i) => (i * 151 + 77) & 0xff);
    const items = decoder().push(join(stream.subarray(0, 800), rubbish, stream.subarray(800)));
    expect(gapsOf(items)).toEqual([]);
    expect(samplesOf(items).map(([tick]) => tick)).toEqual([...Array(400).keys()]);
  });

  it('flags codes at the end of the scale as saturated', () => {
    const block = blocksOf(
      decoder().push(join(words(10), words(3, { first: 10, code: 0x3fff, range: 4 }), words(10, { first: 13 }))),
    )[0]!;
    expect([...block.flags!.subarray(9, 14)]).toEqual([0, 2, 2, 2, 0]);
    expect(blocksOf(decoder().push(words(20)))[0]!.flags).toBeUndefined();
  });

  it('ends words that never fit together again with a gap', () => {
    const broken = decoder();
    broken.push(
      join(
        words(100),
        Uint8Array.from({ length: 20 }, () => 0xff),
      ),
    );
    expect(broken.end()).toEqual([{ kind: 'gap', stream: 'main', firstTick: 100, count: 5, cause: 'invalid' }]);
  });

  it('says within 1 s of bytes that this is no PPK2 stream', () => {
    const other = decoder();
    const feed = () => {
      for (let k = 0; k < 100; k++) other.push(new Uint8Array(4800).fill(0x41));
    };
    expect(feed).toThrow(expect.objectContaining({ code: 'device.protocol' }));
  });

  it('survives mutated streams: finite samples, ticks in order, time conserved to the bytes received', () => {
    const frames = Number(process.env.JOULEMARK_FUZZ ?? 100_000);
    const perStream = 2000;
    const random = randomBelow(12345);
    for (let done = 0; done < frames; done += perStream) {
      const bytes = [...words(perStream, { range: random(5), logic: random(256) })];
      for (let k = random(30); k >= 0; k--) {
        const at = random(bytes.length);
        if (random(3) === 0) bytes.splice(at, random(40));
        else if (random(2) === 0) bytes.splice(at, 0, ...Array.from({ length: random(20) }, () => random(256)));
        else for (let i = random(50); i >= 0; i--) bytes[(at + i) % bytes.length] = random(256);
      }
      const fuzzed = decoder();
      const items: Item[] = [];
      const stream = Uint8Array.from(bytes);
      for (let at = 0; at < stream.length; ) {
        const n = 1 + random(700);
        items.push(...fuzzed.push(stream.subarray(at, at + n)));
        at += n;
      }
      items.push(...fuzzed.end());
      let tick = 0;
      let samples = 0;
      for (const item of items) {
        if (item.kind === 'resync') continue;
        expect(item.firstTick).toBe(tick);
        tick += item.kind === 'block' ? item.length : item.count!;
        if (item.kind === 'block') {
          samples += item.length;
          if (!item.current!.every(Number.isFinite) || item.range!.some((range) => range > 4))
            expect.fail('bad sample');
        }
      }
      expect(samples).toBeLessThanOrEqual(stream.length / 4);
    }
  });
});

describe('the spike filter', () => {
  const filter = (pairs: [number, number][]) => [
    ...new SpikeFilter().apply(
      pairs.map(([, x]) => x),
      Uint8Array.from(pairs, ([r]) => r),
    ),
  ];

  it('replaces the first samples after a range switch by the mean', () => {
    const out = filter([
      [0, 10],
      [0, 10],
      [1, 1000],
      [1, 1000],
      [1, 1000],
      [1, 1000],
    ]);
    [10, 10, 188.2, 334.324, 454.14568, 1000].forEach((expected, i) => {
      expect(out[i]).toBeCloseTo(expected, 3);
    });
  });

  it('ignores the first two samples in range 4', () => {
    const out = filter([[3, 1000], ...Array.from({ length: 5 }, (): [number, number] => [4, 90_000])]);
    [1000, 1000, 1000, 6340, 90_000, 90_000].forEach((expected, i) => {
      expect(out[i]).toBeCloseTo(expected, 2);
    });
  });

  it('gives the same output however the samples are cut into blocks', () => {
    const current = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i) + 2);
    const range = Uint8Array.from({ length: 300 }, (_, i) => Math.floor(i / 7) % 5);
    const cut = new SpikeFilter();
    const parts = [
      ...cut.apply(current.subarray(0, 101), range.subarray(0, 101)),
      ...cut.apply(current.subarray(101), range.subarray(101)),
    ];
    expect(parts).toEqual([...new SpikeFilter().apply(current, range)]);
  });
});

describe('PPK2 metadata', () => {
  const line = (name: string, values: number[]) =>
    values.map((value, r) => `${name}${r}: ${value.toFixed(20)}`).join('\n');
  const text = `Calibrated: 1\n${['R', 'GS', 'GI', 'O', 'S', 'I', 'UG'].map((name) => line(name, [...device[name as 'R']])).join('\n')}\nVDD: 3300\nHW: 9173\nmode: 2\nIA: 56\n`;

  it('is complete when END has arrived', () => {
    expect(completeMetadata(text)).toBeNull();
    expect(completeMetadata(`${text}END\n`)).toBe(text);
  });

  it('gives coefficients, voltage and hardware', () => {
    const metadata = parseMetadata(text)!;
    expect(metadata).toMatchObject({ calibrated: true, vdd_mV: 3300, hardware: '9173', serial: null, defaulted: [] });
    expect(metadata.modifiers).toEqual(device);
  });

  it('turns 0, -nan and missing fields into the defaults, as the app does, and names them', () => {
    const odd = text
      .replace(/GS0: .*/, 'GS0: 0.0000')
      .replace(/GI4: .*/, 'GI4: -nan')
      .replace(/R2: .*\n/, '')
      .replace(/UG1: .*/, 'UG1: 0');
    const { modifiers, defaulted } = parseMetadata(odd)!;
    expect([modifiers.GS[0], modifiers.GI[4], modifiers.R[2], modifiers.UG[1]]).toEqual([1, 1, 10.15, 1]);
    expect(defaulted.sort()).toEqual(['GI4', 'GS0', 'R2', 'UG1']);
    expect(parseMetadata(text.replace('Calibrated: 1', 'Calibrated: 0'))!.calibrated).toBe(false);
  });

  it('is found after stale bytes', () => {
    expect(parseMetadata(`\x84\x91xyz${text}`)!.calibrated).toBe(true);
  });

  it('of another device is null', () => {
    expect(parseMetadata('Micro-terminal v2 ready\r\n> ')).toBeNull();
  });

  it('survives any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), fc.integer({ min: 0, max: text.length }), (noise, at) => {
        const metadata = parseMetadata(text.slice(0, at) + noise + text.slice(at));
        for (const values of Object.values(metadata?.modifiers ?? { zeros })) {
          expect((values as number[]).every(Number.isFinite)).toBe(true);
        }
      }),
    );
  });
});

describe('PPK2 commands', () => {
  it('are the bytes of the protocol', () => {
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    expect(hex(ppk2Command.regulator(3300))).toBe('0d0ce4');
    expect(hex(ppk2Command.powerMode('ampere'))).toBe('1101');
    expect(hex(ppk2Command.powerMode('source'))).toBe('1102');
    expect(hex(ppk2Command.running(true))).toBe('0c01');
    expect(hex(ppk2Command.userGain(3, 1))).toBe('25030000803f');
    expect([ppk2Command.start(), ppk2Command.stop(), ppk2Command.metadata()].map(hex)).toEqual(['06', '07', '19']);
  });
});
