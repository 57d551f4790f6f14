import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Js110Decoder } from '../../../src/instruments/js110/decoder.ts';
import { type Js110Suppression, js110DefaultSuppression } from '../../../src/instruments/js110/suppression.ts';
import type { Gap, SampleBlock } from '../../../src/signal/types.ts';
import { fuzz } from '../../support/fuzz.ts';
import { calibration, frame, MISSING, word } from './frames.ts';

/** A frame with changes of range and two missing words (specs: instruments_vectors.mjs). */
const golden = Buffer.from(
  '0100000200000000a00f80bb2411b6bba812e8bb2c141ebcb01550bc341786bcb818b8bc3c1aeebcc01b20bd441d56bdc81e88bd4c20bebd' +
    'd021f0bd542326bed82458be5c268ebee027c0be6429f6bee82a28bf6c2c5ebff32d90bf772fc6bffb30f8bf7f322ec0033460c0873596c0' +
    '0b37c8c08f38fec0133a30c1973b66c11b3d98c19f3ecec1214000c2a54136c2294368c2ad449fc23146d1c2b54707c3394939c3bd4a6fc3' +
    '414ca1c3c54dd7c3494f09c4cd503fc4515271c4d553a7c45955d9c4dd560fc5615841c5e55977c5695ba9c5ed5cdfc5715e11c6f55f47c6' +
    '796179c6ff62afc68364e1c6076617c78b6749c70f697fc7936ab1c7176ce7c79b6d19c81f6f4fc8a37081c82672b7c8aa73e9c82e751fc9' +
    'b27651c9367887c9ba79b9c93e7befc9c27c21ca467e57caca7f89ca4e81bfcad282f1ca568427cbda8559cb5e878fcbe288c1cb668af7cb' +
    'ea8b29cc6e8d5fccf28e91cc7690c7ccfa91f9cc7e932fcd029561cd869697cd0a98c9cd8e99ffcd129b31cef60f67ce7a1199cefe12cece' +
    '821400cf061636cf8a1768cf0e199ecfffffffffffffffff9a1d38d01e1f6ed0a220a0d02622d6d0aa2308d12e253ed1b22670d13628a6d1' +
    'ba29d8d13e2b0ed2c22c40d2462e76d2ca2fa8d24e31ded2d23210d3563446d3da3578d35e37aed3e238e0d3663a16d4ea3b48d46e3d7ed4' +
    'f23eb0d47640e6d4',
  'hex',
);

/** [sample, A, V, range, IN0, IN1] as pyjoulescope reads it (StreamBuffer, interp_1_n_1); null for a missing number. */
const expected: [number, number, number | null, number, number, number][] = [
  [0, -0.7038683891, 10.27234077, 0, 0, 0],
  [8, -0.7038683891, 10.37080956, 0, 0, 0],
  [19, 0.02477682196, 10.50620365, 0, 1, 1],
  [20, 0.02079731971, 10.51851177, 3, 0, 0],
  [24, 0.004879311193, 10.56774616, 3, 0, 0],
  [27, 0.001189601724, 10.60467148, 3, 1, 1],
  [33, 0.001382887363, 10.67852306, 1, 1, 1],
  [41, 3.231151641e-5, 10.77699184, 5, 1, 1],
  [44, 3.667183046e-5, 10.81391716, 5, 0, 0],
  [55, 0.0, 10.94931126, 7, 1, 1],
  [65, 8.761501249e-7, 11.07239628, 6, 1, 1],
  [72, 7.00920009e-6, 11.15855694, 6, 0, 0],
  [99, -0.008473908529, 11.49088764, 2, 1, 1],
  [100, -0.0101681808, null, 8, -1, -1],
  [102, -0.01355672441, 11.52781296, 2, 0, 0],
  [120, 0.01198057551, 11.74936676, 2, 0, 0],
];

type Item = SampleBlock | Gap;

const decoder = (suppression: Partial<Js110Suppression> = {}, hasLogic = false) =>
  new Js110Decoder({
    calibration,
    suppression: { ...js110DefaultSuppression, ...suppression },
    hasLogic,
    stream: 'main',
    where: 'test',
  });
const blocksOf = (items: Item[]) => items.filter((item): item is SampleBlock => item.kind === 'block');
const gapsOf = (items: Item[]) => items.filter((item): item is Gap => item.kind === 'gap');

interface Sample {
  current: number;
  voltage: number;
  power: number;
  range: number;
  flags: number;
  logic: number;
}

function samplesOf(items: Item[]): Map<number, Sample> {
  const samples = new Map<number, Sample>();
  for (const block of blocksOf(items)) {
    for (let i = 0; i < block.length; i++) {
      samples.set(block.firstTick + i, {
        current: block.current![i]!,
        voltage: block.voltage![i]!,
        power: block.power![i]!,
        range: block.range![i]!,
        flags: block.flags?.[i] ?? 0,
        logic: block.logic?.[i] ?? 0,
      });
    }
  }
  return samples;
}

/** The published rules, a sample at a time over a whole stream: current, voltage, range; NaN where missing. */
function reference(words: readonly number[], suppression: Partial<Js110Suppression> = {}) {
  const { mode, window, pre, post } = { ...js110DefaultSuppression, ...suppression };
  const [a, b] = mode === 'mean' ? [pre, post] : [1, 1];
  const matrices = {
    n: '057777780 307777780 550777780 555077780 555507780 555550780 555555080 000000000 000000000'.split(' '),
    m: '055555660 305556780 440667780 444066770 444406760 444440760 444444060 000000000 000000000'.split(' '),
  };
  const current: number[] = [];
  const voltage: number[] = [];
  const range: number[] = [];
  let last = 7;
  let start = -1;
  let remaining = 0;
  for (let k = 0; k < words.length; k++) {
    const x = words[k]!;
    const r = x === MISSING ? 8 : (x & 3) | (((x >>> 16) & 1) << 2);
    const offset = calibration.currentOffset[r]!;
    const reading = (((x >>> 2) & 0x3fff) + offset) * calibration.currentGain[r]!;
    current.push(r === 8 ? Number.NaN : r === 7 ? 0 : Math.fround(reading));
    voltage.push(r === 8 ? Number.NaN : ((x >>> 18) + calibration.voltageOffset[0]!) * calibration.voltageGain[0]!);
    range.push(r);
    if (r !== last && mode !== 'off') {
      const n = typeof window === 'number' ? window : Number(matrices[window][r]![last]);
      if (n > 0) {
        if (start < 0) start = k;
        remaining = Math.max(remaining, n + b);
      }
    }
    last = r;
    if (start < 0 || --remaining > 0) continue;
    const end = k + 1 - b;
    const sum = (from: number, to: number) => {
      let total = 0;
      for (let j = from; j < to; j++) total += j < 0 ? Number.NaN : current[j]!;
      return total;
    };
    const [before, after] = [sum(start - a, start), sum(end, k + 1)];
    const isUsable = a > 0 && Number.isFinite(before);
    for (let j = start; j < end; j++) {
      if (mode === 'nan') current[j] = Number.NaN;
      else if (mode === 'mean') current[j] = isUsable ? (before + after) / (a + b) : after / b;
      else current[j] = isUsable ? before + ((after - before) * (j - start + 1)) / (end - start + 1) : after;
    }
    start = -1;
  }
  // What an open window holds at the end never comes out.
  return { current, voltage, range, length: start < 0 ? words.length : start };
}

function expectReference(items: Item[], words: readonly number[], suppression: Partial<Js110Suppression> = {}): void {
  const { current, voltage, range, length } = reference(words, suppression);
  const samples = samplesOf(items);
  for (let k = 0; k < length; k++) {
    const sample = samples.get(k);
    if (Number.isNaN(current[k]!) || Number.isNaN(voltage[k]!)) {
      if (sample) expect.fail(`sample ${k} should be missing`);
      continue;
    }
    if (!sample) throw new Error(`sample ${k} is missing`);
    const isClose = Math.abs(sample.current - current[k]!) <= 1e-6 * Math.abs(current[k]!) + 1e-12;
    if (!isClose || sample.range !== range[k]) {
      expect.fail(`sample ${k}: ${sample.current} A in range ${sample.range}, not ${current[k]} A in ${range[k]}`);
    }
    const powerError = Math.abs(sample.power - sample.current * sample.voltage);
    if (sample.voltage !== Math.fround(voltage[k]!) || powerError > 1e-6 * Math.abs(sample.power)) {
      expect.fail(`sample ${k}: ${sample.voltage} V, ${sample.power} W`);
    }
  }
  for (const k of samples.keys()) expect(k).toBeLessThan(length);
}

describe('a JS110 sample word', () => {
  it('is taken apart as in the specification', () => {
    const words = (k: number) => (k === 60 ? 0xa80748d5 : (0xa80748d5 ^ (k & 1 ? 0x20000 : 0)) >>> 0);
    const items = decoder({ mode: 'off' }, true).push(frame(0, words));
    const sample = samplesOf(items).get(60)!;
    expect(sample.range).toBe(5);
    expect(sample.current).toBe(Math.fround((4661 + calibration.currentOffset[5]!) * calibration.currentGain[5]!));
    expect(sample.voltage).toBe(Math.fround((10753 + calibration.voltageOffset[0]!) * calibration.voltageGain[0]!));
    expect(sample.logic).toBe(3);
  });

  it('reads the voltage in the range that its own frame names', () => {
    const items = decoder().push(frame(0, undefined, { voltageRange: 1 }));
    const v = (6000 + calibration.voltageOffset[1]!) * calibration.voltageGain[1]!;
    expect(samplesOf(items).get(50)!.voltage).toBe(Math.fround(v));
  });
});

describe('the JS110 decoder', () => {
  it('reads the golden frame as pyjoulescope does', () => {
    const items = decoder({}, true).push(golden);
    const samples = samplesOf(items);
    for (const [k, current, voltage, range, in0, in1] of expected) {
      if (voltage === null) {
        expect(samples.has(k)).toBe(false);
        continue;
      }
      const sample = samples.get(k)!;
      expect(Math.abs(sample.current - current)).toBeLessThanOrEqual(2e-6 * Math.abs(current) + 1e-12);
      expect(Math.abs(sample.voltage - voltage)).toBeLessThan(2e-5);
      expect([sample.range, sample.logic & 1, sample.logic >> 1]).toEqual([range, in0, in1]);
    }
    expect(gapsOf(items)).toEqual([{ kind: 'gap', stream: 'main', firstTick: 100, count: 2, cause: 'dropped' }]);
  });

  it('drops the missing words with which every stream begins, and keeps time', () => {
    const items = decoder().push(frame(0, (k) => (k < 7 ? MISSING : word(k))));
    expect(gapsOf(items)).toEqual([]);
    expect(blocksOf(items)[0]!.firstTick).toBe(7);
  });

  const someWords = (random: () => number, count: number) => {
    let range = 3;
    return Array.from({ length: count }, (_, k) => {
      if (random() < 0.02) range = Math.floor(random() * 8);
      if (random() < 0.004) return MISSING;
      return word(k, { current: Math.floor(random() * 16_000), voltage: Math.floor(random() * 16_000), range });
    });
  };
  const random = (seed: number) => {
    let state = seed | 0;
    return () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return (state >>> 8) / 2 ** 24;
    };
  };

  it.each<Partial<Js110Suppression>>([
    {},
    { window: 'm' },
    { window: 9 },
    { window: 0 },
    { window: 31 },
    { mode: 'off' },
    { mode: 'nan' },
    { mode: 'nan', window: 'm' },
    { mode: 'mean' },
    { mode: 'mean', pre: 0, post: 3 },
    { mode: 'mean', pre: 8, post: 8, window: 'm' },
  ])('suppresses by the published rules with %o, however frames are cut into transfers', (suppression) => {
    for (let seed = 1; seed <= 25; seed++) {
      const next = random(seed);
      const frames = 12;
      const words = someWords(next, 126 * frames);
      const all = Array.from({ length: frames }, (_, f) => frame(f, (k) => words[126 * f + k]!));
      const split = decoder(suppression);
      const items: Item[] = [];
      for (let f = 0; f < frames; ) {
        const n = 1 + Math.floor(next() * 4);
        items.push(...split.push(new Uint8Array(Buffer.concat(all.slice(f, f + n)))));
        f += n;
      }
      items.push(...split.end());
      expectReference(items, words, suppression);
    }
  });

  it.each([1, 2, 7, 40])('turns %i lost frames into a gap of 126 samples each', (lost) => {
    const d = decoder();
    const items = [...d.push(frame(65_530)), ...d.push(frame(65_531 + lost)), ...d.push(frame(65_532 + lost))];
    expect(gapsOf(items)).toEqual([
      { kind: 'gap', stream: 'main', firstTick: 126, count: 126 * lost, cause: 'link-loss' },
    ]);
    expect(blocksOf(items).at(-1)!.firstTick).toBe(126 * (2 + lost));
    expect(d.arrivedTick).toBe(126 * (3 + lost));
  });

  it('loses the samples of a window that lost frames cut off, as the published rules do', () => {
    const words = Array.from({ length: 126 * 3 }, (_, k) => word(k, { range: k < 123 ? 3 : 2, current: 3000 + k }));
    const d = decoder();
    const items = [...d.push(frame(0, (k) => words[k]!)), ...d.push(frame(2, (k) => words[252 + k]!)), ...d.end()];
    expectReference(items, [...words.slice(0, 126), ...new Array(126).fill(MISSING), ...words.slice(252)]);
    expect(gapsOf(items)).toEqual([
      { kind: 'gap', stream: 'main', firstTick: 123, count: 3, cause: 'invalid' },
      { kind: 'gap', stream: 'main', firstTick: 126, count: 126, cause: 'link-loss' },
    ]);
  });

  it.each([
    ['a status other than 0', { status: 3 }],
    ['a wrong length', { length: 500 }],
    ['another buffer type', { type: 0x80 }],
  ])('makes a gap of a frame with %s', (_name, fields) => {
    const d = decoder();
    const items = [...d.push(frame(0)), ...d.push(frame(1, undefined, fields)), ...d.push(frame(2))];
    expect(gapsOf(items)).toEqual([{ kind: 'gap', stream: 'main', firstTick: 126, count: 126, cause: 'invalid' }]);
    expect(samplesOf(items).size).toBe(252);
  });

  it('makes a gap of a transfer that ends in the middle of a frame', () => {
    const d = decoder();
    const items = [...d.push(frame(0)), ...d.push(frame(1).subarray(0, 100)), ...d.push(frame(2))];
    expect(gapsOf(items)).toEqual([{ kind: 'gap', stream: 'main', firstTick: 126, count: 126, cause: 'invalid' }]);
  });

  it('takes a frame that comes twice once', () => {
    const d = decoder();
    const items = [...d.push(frame(0)), ...d.push(frame(0)), ...d.push(frame(1))];
    expect(gapsOf(items)).toEqual([]);
    expect(samplesOf(items).size).toBe(252);
  });

  it('drops what an earlier measurement has left in the first transfer', () => {
    const d = decoder();
    const items = d.push(
      new Uint8Array(Buffer.concat([frame(900), frame(901, (k) => word(k, { range: 1 })), frame(0)])),
    );
    expect(gapsOf(items)).toEqual([]);
    expect([...samplesOf(items).keys()]).toEqual(Array.from({ length: 126 }, (_, k) => k));
    expect([...d.push(frame(1))].length).toBe(1);
  });

  it('makes a gap of unknown length of an index that jumps by more than a second', () => {
    const d = decoder();
    const items = [...d.push(frame(0)), ...d.push(frame(40_000)), ...d.push(frame(40_001))];
    expect(gapsOf(items)).toEqual([{ kind: 'gap', stream: 'main', firstTick: 126, count: null, cause: 'unknown' }]);
    expect(d.arrivedTick).toBe(378);
  });

  it('makes a gap of unknown length where the toggle bit does not alternate', () => {
    const items = decoder().push(frame(0, (k) => word(k < 50 ? k : k + 1)));
    expect(gapsOf(items)).toEqual([{ kind: 'gap', stream: 'main', firstTick: 50, count: null, cause: 'dropped' }]);
    expect(samplesOf(items).size).toBe(126);
  });

  it('flags readings at the end of their scale', () => {
    const items = decoder().push(
      frame(0, (k) => word(k, { current: k === 40 ? 16_383 : 5000, voltage: k === 80 ? 16_382 : 5000 })),
    );
    const flagged = [...samplesOf(items)].filter(([, { flags }]) => flags === 2).map(([k]) => k);
    expect(flagged).toEqual([40, 80]);
  });

  it('flags what it replaces', () => {
    const items = decoder().push(frame(0, (k) => word(k, { range: k < 60 ? 3 : 2 })));
    const flagged = [...samplesOf(items)].filter(([, { flags }]) => flags === 1).map(([k]) => k);
    expect(flagged).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 60, 61, 62, 63, 64, 65, 66]);
  });

  it('gives up after a second of rubbish', () => {
    const d = decoder();
    d.push(frame(0));
    const rubbish = new Uint8Array(512 * 1000).fill(0x5a);
    expect(() => {
      for (let k = 0; k < 20; k++) d.push(rubbish);
    }).toThrow(expect.objectContaining({ code: 'device.protocol', where: 'test' }));
  });

  it('survives anything, holds no NaN in a block, and never goes back in time', () => {
    const someFrame = fc.record({
      index: fc.oneof(fc.nat(5), fc.nat(0xffff)),
      type: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(255) }),
      status: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(255) }),
      seed: fc.integer(),
      wildness: fc.constantFrom(0, 0.01, 0.3, 1),
      cut: fc.oneof({ weight: 9, arbitrary: fc.constant(512) }, { weight: 1, arbitrary: fc.nat(511) }),
    });
    const modes = fc.constantFrom<Js110Suppression['mode']>('off', 'mean', 'interp', 'nan');
    fc.assert(
      fc.property(
        fc.array(someFrame, { maxLength: 12 }),
        modes,
        fc.constantFrom('n', 'm', 31),
        (frames, mode, window) => {
          const d = decoder({ mode, window: window as 'n', pre: 3, post: 2 }, true);
          let tick = 0;
          let at = 0;
          const items: Item[] = [];
          for (const { index, type, status, seed, wildness, cut } of frames) {
            const next = random(seed);
            at = index < 6 ? at + index : index;
            const words = (k: number) => (next() < wildness ? (next() * 2 ** 32) >>> 0 : word(k));
            items.push(...d.push(frame(at, words, { type, status }).subarray(0, cut)));
          }
          items.push(...d.end());
          for (const item of items) {
            if (item.firstTick < tick) expect.fail(`tick ${item.firstTick} after ${tick}`);
            tick = item.firstTick + (item.kind === 'block' ? item.length : (item.count ?? 0));
            if (item.kind === 'gap') continue;
            expect([item.current!.length, item.voltage!.length, item.power!.length, item.range!.length]).toEqual(
              new Array(4).fill(item.length),
            );
            for (const values of [item.current!, item.voltage!, item.power!]) {
              for (const value of values) if (!Number.isFinite(value)) expect.fail('a block holds no NaN');
            }
          }
          expect(tick).toBeLessThanOrEqual(d.arrivedTick);
        },
      ),
      fuzz(3000),
    );
  });

  it('decodes a million damaged frames to numbers, in the order of time', () => {
    const next = random(11);
    const batch = new Uint8Array(512 * 500);
    let d = decoder({}, true);
    let tick = 0;
    for (let index = 0; index < 1_000_000; index += 500) {
      for (let k = 0; k < 500; k++) batch.set(frame0(index + k), 512 * k);
      for (let k = 0; k < 500; k++) {
        for (let n = 1 + Math.floor(next() * 3); n > 0; n--) {
          // Headers are hit more often than by chance.
          const at = next() < 0.3 ? Math.floor(next() * 8) : Math.floor(next() * 512);
          batch[512 * k + at] = Math.floor(next() * 256);
        }
      }
      let items: Item[] = [];
      try {
        items = d.push(batch);
      } catch (error) {
        expect(error).toMatchObject({ code: 'device.protocol' });
        d = decoder({}, true);
        tick = 0;
      }
      for (const item of items) {
        if (item.firstTick < tick) expect.fail(`tick ${item.firstTick} after ${tick}`);
        tick = item.firstTick + (item.kind === 'block' ? item.length : (item.count ?? 0));
        if (item.kind === 'gap') continue;
        let sum = 0;
        for (const power of item.power!) sum += power;
        if (!Number.isFinite(sum)) expect.fail('a block holds no NaN');
      }
    }
  });

  const template = frame(0);
  function frame0(index: number): Uint8Array {
    template[4] = index & 0xff;
    template[5] = (index >> 8) & 0xff;
    return template;
  }
});
