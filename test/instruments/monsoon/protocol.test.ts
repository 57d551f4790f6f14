import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MonsoonDecoder, type MonsoonRail } from '../../../src/instruments/monsoon/decoder.ts';
import {
  ChannelScaling,
  emptyMeasurement,
  encodeCurrentLimit,
  encodeVoltage,
  getRequest,
  lvpmScale,
  type MonsoonCoefficients,
  parseAnswer,
  parseHeader,
  readMeasurement,
  scaleUnit_A,
  setRequest,
  signed8,
  signed16,
  startRequest,
  stopRequest,
} from '../../../src/instruments/monsoon/protocol.ts';
import {
  type MonsoonChannel,
  type MonsoonModel,
  monsoonChannels,
  monsoonDefaultScales,
} from '../../../src/instruments/monsoon/spec.ts';
import { DeviceError } from '../../../src/signal/errors.ts';
import type { Gap, SampleBlock } from '../../../src/signal/types.ts';

const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));

/** Order of monsoonChannels: main, USB, aux, each coarse and fine. */
function coefficients(
  model: MonsoonModel,
  scales: readonly number[],
  offsets: readonly number[] = [0, 0, 0, 0, 0, 0],
): Record<MonsoonChannel, MonsoonCoefficients> {
  return Object.fromEntries(
    monsoonChannels.map((channel, k) => [
      channel,
      { scale_A: scales[k]! * scaleUnit_A(model, channel), zeroOffset: offsets[k]! },
    ]),
  ) as Record<MonsoonChannel, MonsoonCoefficients>;
}

const defaults = coefficients(
  'HVPM',
  monsoonChannels.map((channel) => monsoonDefaultScales[channel]),
);

function decoder(rails: MonsoonRail[] = ['main'], model: MonsoonModel = 'HVPM', of = defaults): MonsoonDecoder {
  return new MonsoonDecoder({ model, coefficients: of, rails, where: 'test' });
}

interface Sample {
  type?: number;
  codes?: number[];
  mainVoltage?: number;
  usbVoltage?: number;
}

function packet(sequence: number, samples: readonly Sample[], dropped = 0, flags = 0x20): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 + 18 * samples.length));
  view.setUint16(0, dropped, true);
  view.setUint8(2, (sequence & 15) | flags);
  view.setUint8(3, samples.length);
  for (const [k, { type = 0, codes = [], mainVoltage = 12_000, usbVoltage = 0 }] of samples.entries()) {
    for (let j = 0; j < 6; j++) view.setUint16(4 + 18 * k + 2 * j, (codes[j] ?? 1000 + j) & 0xffff);
    view.setUint16(4 + 18 * k + 12, mainVoltage);
    view.setUint16(4 + 18 * k + 14, usbVoltage);
    view.setUint8(4 + 18 * k + 17, type);
  }
  return new Uint8Array(view.buffer);
}

const ZERO: Sample = { type: 0x10, codes: [1000, 1000, 1000, 1000, 1000, 1000] };
const REFERENCE: Sample = { type: 0x30, codes: [7400, 37_500, 7400, 15_000, 3500, 4100] };

/** Five pairs in five packets, with sequences 0 to 4: 10 samples. */
function calibrated(made: MonsoonDecoder): MonsoonDecoder {
  for (let k = 0; k < 5; k++) made.push(packet(k, [ZERO, REFERENCE]));
  return made;
}

describe('requests to a Monsoon', () => {
  it('set 3.7 V as specified', () => {
    expect(encodeVoltage(3.7)).toBe(0x3b3333);
    const { setup, data } = setRequest(0x41, encodeVoltage(3.7));
    expect(setup).toEqual({ requestType: 0x40, request: 1, value: 0x3333, index: 0x3b41 });
    expect(Buffer.from(data).toString('hex')).toBe('33333b00');
  });

  it('get, start without end, and stop', () => {
    expect(getRequest(0xc4)).toEqual({ requestType: 0xc0, request: 1, value: 0, index: 0xc4 });
    expect(startRequest(1250).setup).toEqual({ requestType: 0x40, request: 2, value: 1250, index: 0 });
    expect(Buffer.from(startRequest(1250).data).toString('hex')).toBe('ffffffff');
    expect(stopRequest()).toEqual({ requestType: 0x40, request: 3, value: 0, index: 0 });
    expect(parseAnswer(bytesOf('feffffff'))).toBe(0xfffffffe);
    expect(parseAnswer(bytesOf('feffff'))).toBeNull();
  });

  it('carry current limits', () => {
    expect(encodeCurrentLimit('HVPM', 8)).toBe(35_427);
    expect(encodeCurrentLimit('HVPM', 0)).toBe(3840);
    expect(encodeCurrentLimit('LVPM', 8)).toBe(0);
    expect(encodeCurrentLimit('LVPM', 4)).toBe(511);
  });
});

describe('the scales of an LVPM', () => {
  it('read the resistor offset as signed', () => {
    expect(lvpmScale('mainFine', signed8(0xfb))).toBeCloseTo(36_309.09, 2);
    expect(lvpmScale('mainCoarse', 0)).toBe(3103.4);
    expect(lvpmScale('auxFine', 100)).toBeCloseTo(0.05049 / 1.1, 12);
    expect(signed16(0xfff9)).toBe(-7);
  });

  it('take the aux constants for amperes', () => {
    expect(scaleUnit_A('LVPM', 'auxFine')).toBe(1);
    expect(scaleUnit_A('HVPM', 'auxFine')).toBe(1e-6);
    expect(scaleUnit_A('LVPM', 'mainFine')).toBe(1e-6);
  });
});

describe('a packet of a Monsoon', () => {
  const golden = bytesOf(
    '070023030100020001000200010002000000000000102000800020008000200040000000000000300123456700000000000000004e203a980000',
  );

  it('has a little-endian header and big-endian measurements', () => {
    expect(parseHeader(golden)).toEqual({ dropped: 7, sequence: 3, flags: 0x23, count: 3 });
    const measurement = emptyMeasurement();
    const types = [0, 1, 2].map((k) => {
      readMeasurement(golden, k, 'HVPM', measurement);
      return measurement.type;
    });
    expect(types).toEqual([0x10, 0x30, 0x00]);
    expect(measurement).toMatchObject({ mainVoltage: 20_000, usbVoltage: 15_000 });
    expect(measurement.codes.slice(0, 2)).toEqual([0x0123, 0x4567]);
  });

  it('is scaled to the published numbers', () => {
    const fine = new ChannelScaling({ scale_A: 36_500e-6, zeroOffset: 15 });
    const coarse = new ChannelScaling({ scale_A: 6.4, zeroOffset: 15 });
    const measurement = emptyMeasurement();
    for (let k = 0; k < 5; k++) {
      readMeasurement(golden, 0, 'HVPM', measurement);
      coarse.pushZero(measurement.codes[0]!);
      fine.pushZero(measurement.codes[1]!);
      readMeasurement(golden, 1, 'HVPM', measurement);
      coarse.pushReference(measurement.codes[0]!);
      fine.pushReference(measurement.codes[1]!);
    }
    expect(fine.isComplete).toBe(true);
    expect(fine.current_A(0x4567) * 1e3).toBeCloseTo(19.5173847, 7);
    expect(coarse.current_A(0x0123) * 1e3).toBeCloseTo(16.1595758, 7);
  });

  it('ignores calibration codes of 0, and forgets all but the last five', () => {
    const scaling = new ChannelScaling({ scale_A: 1, zeroOffset: 0 });
    for (const code of [9999, 0, 1, 2, 3, 4, 5]) scaling.pushZero(code);
    for (const code of [0, 0, 103, 103, 103, 103]) scaling.pushReference(code);
    expect(scaling.isComplete).toBe(false);
    scaling.pushReference(103);
    expect(scaling.isComplete).toBe(true);
    expect(scaling.current_A(53)).toBeCloseTo(0.5, 12);
  });
});

describe('a stream of an HVPM', () => {
  // Values of PyMonsoon's SampleEngine over these packets: main mA, USB mA, aux mA, main V, USB V.
  const packets = [
    '0000200301900384012c02bc00d201f40000000000101b589c401964985813884e2000000000003001920387012d02c100d401f6000000000010',
    '000021031b629c72196e9862138d4e2a0000000000300194038a012e02c600d601f80000000000101b6c9ca41978986c13924e34000000000030',
    '000022030196038d012f02cb00d801fa0000000000101b769cd61982987613974e3e000000000030019d03a4013002d000da0201000000000010',
    '000023031b809d6c198c98b2139c4e7a00000000003000000000000003e70000000039d09c400000000b00250007041c0003001139d19c410000',
    '000024030016004a000e04510006002239d29c4200000021006f001504860009003339d39c430000002c0094001c04bb000c004439d49c440000',
    '00002503003700b9002304f0000f005539d59c450000004200de002a05250012006639d69c460000004d01030031055a0015007739d79c470000',
    '00002603005801280038058f0018008839d89c4800000063014d003f05c4001b009939d99c490000006e0172004605f9001e00aa39da9c4a0000',
    '0000240313a6fa0a15ea6a1100be72e23a219c59000013b1fa2f15f16a4600c172f33a229c5a000013bcfa5415f86a7b00c473043a239c5b0000',
  ].map(bytesOf);
  // The last packet of the vector repeats a sequence number; here it follows the one before.
  packets[7]![2] = 0x27;
  const expected: [number, number[]][] = [
    [0, [-0.7924862865, 0.3571614991, -0.07478104994, 3.7005, 5.00025]],
    [8, [-0.5168388825, 0.7444670634, -0.05318822023, 3.7025, 5.00125]],
    [9, [4476.713984, 24.15087692, 4.589270166, 3.72025, 5.003125]],
    [11, [4497.976442, 24.24770331, 4.594668374, 3.72075, 5.003375]],
  ];

  it('decodes to what PyMonsoon says', () => {
    const made = decoder(
      ['main', 'usb', 'aux'],
      'HVPM',
      coefficients('HVPM', [6400, 36_500, 6100, 35_000, 250, 3100], [-7, 15, -3, 4, 0, 0]),
    );
    const items = [...packets.flatMap((bytes) => made.push(bytes)), ...made.end()];
    const blocks = items.filter((item): item is SampleBlock => item.kind === 'block');
    expect(blocks.map(({ stream, firstTick, length }) => [stream, firstTick, length])).toEqual([
      ['main', 12, 12],
      ['usb', 12, 12],
      ['aux', 12, 12],
    ]);
    const [main, usb, aux] = blocks;
    for (const [k, [main_mA, usb_mA, aux_mA, main_V, usb_V]] of expected) {
      const got = [main!.current![k]! * 1e3, usb!.current![k]! * 1e3, aux!.current![k]! * 1e3];
      for (const [i, truth] of [main_mA, usb_mA, aux_mA].entries()) {
        expect(Math.abs(got[i]! / truth! - 1)).toBeLessThan(1e-7);
      }
      expect(main!.voltage![k]).toBeCloseTo(main_V!, 6);
      expect(usb!.voltage![k]).toBeCloseTo(usb_V!, 6);
    }
    expect(aux!.voltage).toBeUndefined();
    expect([...main!.range!]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
    expect([...usb!.range!]).toEqual(new Array(12).fill(0));
    expect(items.filter((item) => item.kind === 'gap' && item.stream === 'main')).toEqual([
      { kind: 'gap', stream: 'main', firstTick: 0, count: 12, cause: 'invalid' },
    ]);
  });

  const gaps = (made: MonsoonDecoder, ...more: Uint8Array[]): Gap[] =>
    [...more.flatMap((bytes) => made.push(bytes)), ...made.end()].filter((item): item is Gap => item.kind === 'gap');
  const one: Sample = {};
  const gap = (firstTick: number, count: number | null, cause: string) => ({
    kind: 'gap',
    stream: 'main',
    firstTick,
    count,
    cause,
  });
  const start = gap(0, 10, 'invalid');

  it('makes a gap of what the instrument dropped, across the end of its counter', () => {
    const made = decoder();
    for (let k = 0; k < 5; k++) made.push(packet(k, [ZERO, REFERENCE], 65_530));
    expect(gaps(made, packet(5, [one], 65_530), packet(6, [one, one], 4), packet(7, [one], 4))).toEqual([
      start,
      gap(11, 10, 'dropped'),
    ]);
    expect(made.arrivedTick).toBe(24);
  });

  it('makes a gap of unknown length of packets that are missing in the sequence', () => {
    const made = calibrated(decoder());
    expect(gaps(made, packet(5, [one]), packet(8, [one, one, one]))).toEqual([start, gap(11, null, 'link-loss')]);
  });

  it('makes a gap of calibrations and samples marked invalid', () => {
    const made = calibrated(decoder());
    const invalid: Sample = { type: 0x20 };
    expect(gaps(made, packet(5, [one, ZERO, REFERENCE]), packet(6, [invalid, one, invalid]))).toEqual([
      start,
      gap(11, 3, 'invalid'),
      gap(15, 1, 'invalid'),
    ]);
  });

  it('makes a gap of known length of half a packet that follows, else of unknown length', () => {
    const half = packet(6, [one, one, one]).subarray(0, 50);
    expect(gaps(calibrated(decoder()), packet(5, [one]), half, packet(7, [one]))).toEqual([
      start,
      gap(11, 3, 'invalid'),
    ]);
    expect(gaps(calibrated(decoder()), packet(5, [one]), bytesOf('00'), packet(7, [one]))).toEqual([
      start,
      gap(11, null, 'invalid'),
    ]);
    expect(gaps(calibrated(decoder()), packet(5, [one]), bytesOf('00'))).toEqual([start, gap(11, null, 'invalid')]);
  });

  it('takes no counter that jumps by more than a second for a number of samples', () => {
    expect(gaps(calibrated(decoder()), packet(5, [one]), packet(6, [one], 30_000))).toEqual([
      start,
      gap(11, null, 'unknown'),
    ]);
  });

  it('flags the end of the scale', () => {
    const made = calibrated(decoder());
    made.push(packet(5, [one, { codes: [0xffff, 0xffff] }]));
    const [block] = made.end();
    expect([...(block as SampleBlock).flags!]).toEqual([0, 2]);
  });

  it('invents nothing where zero and reference cannot be told apart, and gives up after 4 s', () => {
    const made = decoder();
    const same: Sample = { ...REFERENCE, codes: ZERO.codes };
    const items: (SampleBlock | Gap)[] = [];
    const feed = () => {
      for (let k = 0; k < 20_000; k++) items.push(...made.push(packet(k, [ZERO, same, one])));
    };
    expect(feed).toThrow(expect.objectContaining({ code: 'device.calibration' }));
    expect(items.every((item) => item.kind === 'gap')).toBe(true);
    expect(items.length).toBeGreaterThan(5);
    expect(made.arrivedTick).toBeLessThanOrEqual(20_001);
  });

  it('says after 32 packets of rubbish that this is no stream of a Monsoon', () => {
    const made = calibrated(decoder());
    const feed = () => {
      for (let k = 0; k < 32; k++) made.push(new Uint8Array(64).fill(0x41));
    };
    expect(feed).toThrow(expect.objectContaining({ code: 'device.protocol' }));
  });
});

describe('a stream of an LVPM', () => {
  it('has signed codes, its own thresholds and its own voltage', () => {
    const scales = monsoonChannels.map((channel) => lvpmScale(channel, 0));
    const made = decoder(['main', 'aux'], 'LVPM', coefficients('LVPM', scales));
    const zero: Sample = { type: 0x10, codes: [-10, -20, 5, 5, 5, 5] };
    const reference: Sample = { type: 0x30, codes: [15_507, 17_953, 900, 900, 1005, 1005] };
    for (let k = 0; k < 5; k++) made.push(packet(k, [zero, reference]));
    made.push(packet(5, [{ codes: [0, -120, 0, 0, 0, 25] }, { codes: [4990, 30_000, 0, 0, 25, 30_000] }]));
    const blocks = made.end().filter((item): item is SampleBlock => item.kind === 'block');
    const [main, aux] = blocks;
    expect(main!.current![0]).toBeCloseTo((-100 * 35_946e-6) / 17_973, 9);
    expect(main!.current![1]).toBeCloseTo((5000 * 3.1034) / 15_517, 6);
    expect([...main!.range!]).toEqual([0, 1]);
    expect(main!.voltage![0]).toBeCloseTo(1.5, 6);
    expect(aux!.current![0]).toBeCloseTo((20 * 0.05049) / 1000, 9);
    expect(aux!.current![1]).toBeCloseTo((20 * 1.289) / 1000, 9);
  });
});

describe('any bytes', () => {
  it('become finite samples and gaps in order, or a typed error', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 60 }), (chunks) => {
        check(calibrated(decoder(['main', 'usb', 'aux'])), chunks);
      }),
      { numRuns: 500 },
    );
  });

  it('survive mutation of good packets', () => {
    const frames = Number(process.env.JOULEMARK_FUZZ ?? 100_000);
    let seed = 4711;
    const random = (n: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    const perStream = 1000;
    for (let done = 0; done < frames; done += perStream) {
      const chunks: Uint8Array[] = [];
      for (let k = 0; k < perStream; k++) {
        const samples = Array.from({ length: 1 + random(3) }, () => ({
          type: random(20) === 0 ? random(4) << 4 : 0,
          codes: Array.from({ length: 6 }, () => random(65_536)),
        }));
        const bytes = packet(5 + k, samples);
        if (random(10) === 0) for (let i = random(8); i >= 0; i--) bytes[random(bytes.length)] = random(256);
        if (random(20) > 0) chunks.push(random(30) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
      }
      check(calibrated(decoder(['main', 'aux'], random(2) === 0 ? 'HVPM' : 'LVPM')), chunks);
    }
  });

  function check(made: MonsoonDecoder, chunks: readonly Uint8Array[]): void {
    const items: (SampleBlock | Gap)[] = [];
    try {
      for (const bytes of chunks) items.push(...made.push(bytes));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
    items.push(...made.end());
    let tick = 0;
    for (const item of items) {
      if (item.stream !== 'main') continue;
      if (item.firstTick < tick || !Number.isSafeInteger(item.firstTick)) expect.fail('ticks run backwards');
      if (item.kind === 'gap') {
        tick = item.firstTick + (item.count ?? 0);
        continue;
      }
      tick = item.firstTick + item.length;
      if (item.length === 0 || item.current!.length !== item.length) expect.fail('wrong length');
      if (!item.current!.every(Number.isFinite) || !item.voltage!.every(Number.isFinite)) expect.fail('not finite');
      if (item.range!.some((range) => range > 1)) expect.fail('no such range');
    }
    expect(tick).toBeLessThanOrEqual(made.arrivedTick);
  }
});
