import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeFrame,
  encodePublish,
  FrameReader,
  parseControl,
  parseFrameHeader,
  parseMetadata,
  parsePublish,
  parseStatistics,
  time64FromUtc,
  timesyncReply,
  utcFromTime64,
  versionText,
} from '../../../src/instruments/js220/protocol.ts';
import { Js220Decoder } from '../../../src/instruments/js220/streams.ts';
import { DeviceError } from '../../../src/signal/errors.ts';
import { fuzz } from '../../support/fuzz.ts';
import { randomBelow } from '../../support/random.ts';

describe('the link of a JS220', () => {
  it('packs frame id, length and port into one word', () => {
    const frame = encodeFrame(0x1234, 21, Uint8Array.of(1, 2, 3));
    expect(Buffer.from(frame).toString('hex')).toBe('3412032a010203');
    expect(parseFrameHeader(0x2a031234)).toEqual({ frameId: 0x1234, length: 3, port: 21 });
  });

  it('takes no header with the top bits set or a payload that cannot be', () => {
    expect(parseFrameHeader(0x40000000)).toBeNull();
    expect(parseFrameHeader(509 << 16)).toBeNull();
    expect(() => encodeFrame(0, 1, new Uint8Array(509))).toThrow(RangeError);
  });

  it('counts frames that are missing, across the wrap of their ids', () => {
    const reader = new FrameReader();
    const transfer = new Uint8Array(4 * 512);
    for (const [k, id] of [0xfffe, 0xffff, 2, 3].entries()) transfer.set(encodeFrame(id, 1, Uint8Array.of(k)), 512 * k);
    const seen: number[] = [];
    reader.read(transfer, (_port, start, end, missing) => seen.push(transfer[start]!, end - start, missing));
    expect(seen).toEqual([0, 1, 0, 1, 1, 0, 2, 1, 2, 3, 1, 0]);
    expect(reader.lost).toBe(2);
  });

  it('tells times from 2018 on', () => {
    const utc_ns = 1_763_769_600_123_456_789n;
    expect(utcFromTime64(0n)).toBe(1_514_764_800_000_000_000n);
    expect(utcFromTime64(1n << 30n)).toBe(1_514_764_801_000_000_000n);
    expect(Number(utcFromTime64(time64FromUtc(utc_ns)) - utc_ns)).toBeGreaterThanOrEqual(-2);
  });

  it('answers a time synchronisation with its words and two times', () => {
    const reply = timesyncReply([5n, 7n], 1_514_764_800_000_000_000n, 1_514_764_802_000_000_000n);
    const view = new DataView(reply.buffer);
    expect([reply.length, reply[0], view.getBigUint64(4, true), view.getBigUint64(12, true)]).toEqual([44, 3, 5n, 7n]);
    expect([view.getBigInt64(20, true), view.getBigInt64(28, true), view.getBigInt64(36, true)]).toEqual([
      0n,
      2n << 30n,
      0n,
    ]);
  });

  it('reads who connects', () => {
    const payload = Buffer.alloc(24);
    payload[0] = 1;
    for (const [k, word] of [0x01000000, 9, 0x01030007, 0x01080000, 0x01030000].entries()) {
      payload.writeUInt32LE(word, 4 + 4 * k);
    }
    expect(parseControl(payload)).toMatchObject({ op: 'connect', protocol: 0x01000000, firmware: 0x01030007 });
    expect(versionText(0x01030007)).toBe('1.3.7');
    expect(parseControl(payload.subarray(0, 20))).toBeNull();
  });
});

describe('topics of a JS220', () => {
  it('are published as eight bytes of a u32', () => {
    const payload = encodePublish('s/i/ctrl', 1);
    expect(payload.length).toBe(44);
    expect(parsePublish(payload)).toEqual({ topic: 's/i/ctrl', value: 1 });
    // The driver of the maker sends 8 bytes of value with a null as well.
    expect(encodePublish('$', null)).toEqual(Uint8Array.from({ length: 44 }, (_, k) => (k === 0 ? 0x24 : 0)));
    expect(parsePublish(encodePublish('$', null))).toEqual({ topic: '$', value: null });
    expect(() => encodePublish('x'.repeat(32), 1)).toThrow(RangeError);
  });

  it.each([
    [8, 'ff00000000000000', 255],
    [12, 'ff00000000000000', -1],
    [13, 'feff000000000000', -2],
    [14, 'fdffffff00000000', -3],
    [15, 'fcffffffffffffff', -4],
    [6, '0000c03f00000000', 1.5],
    [7, '000000000000f83f', 1.5],
    [1, '61620063', 'ab'],
    [2, '7b7d', '{}'],
    [3, '0102', null],
  ])('of type %i are read', (type, hex, value) => {
    const header = encodePublish('a/b', null).subarray(0, 36);
    const payload = Buffer.concat([header, Buffer.from(hex, 'hex')]);
    payload[32] = type;
    expect(parsePublish(payload)).toEqual({ topic: 'a/b', value });
  });

  it('tell their numbers in metadata with bare NaN, aliases and missing fields', () => {
    expect(
      parseMetadata('{"default": NaN, "options": [[3, "auto"], [5, "manual", "fixed"]], "range": [1, 9, 1]}'),
    ).toEqual({
      options: [
        { value: 3, names: ['auto'] },
        { value: 5, names: ['manual', 'fixed'] },
      ],
      range: { min: 1, max: 9 },
    });
    expect(parseMetadata('{"dtype": "u8"}')).toEqual({ options: [], range: null });
    for (const bad of ['', '{', 'null', '7', '{"options": 5}', '{"range": ["a", 1]}'])
      expect(parseMetadata(bad)).toBeNull();
  });
});

describe('a statistics record', () => {
  /** Specs 4.2, a unit test of the reference driver. */
  const record = () => {
    const bytes = Buffer.alloc(192);
    bytes.writeUInt32LE(0x92000040, 0);
    bytes.writeUInt32LE(128, 4);
    bytes.writeBigUInt64LE(1000n, 8);
    bytes.writeBigInt64LE(64n << 31n, 24);
    bytes.writeBigInt64LE(-2n * (64n << 31n), 48);
    bytes.writeBigInt64LE(-3n * (64n << 27n), 72);
    const i128 = (value: bigint, at: number) => {
      bytes.writeBigUInt64LE(BigInt.asUintN(64, value), at);
      bytes.writeBigInt64LE(value >> 64n, at + 8);
    };
    i128(16n << 64n, 96);
    i128(128n << 64n, 128);
    i128(-(5n << 31n) * 64n, 176);
    return bytes;
  };

  it('gives means, deviations and energy', () => {
    expect(parseStatistics(record())).toMatchObject({
      count: 64,
      sample_Hz: 128,
      firstTick: 1000,
      current: { mean: 1, sd: 0 },
      voltage: { mean: -2, sd: 2 },
      power: { mean: -3 },
      energy_J: -5,
    });
  });

  it('is refused with another header, without samples or cut short', () => {
    expect(parseStatistics(record().subarray(0, 191))).toBeNull();
    const other = record();
    other[3] = 0x91;
    expect(parseStatistics(other)).toBeNull();
    const empty = record();
    empty[0] = 0;
    expect(parseStatistics(empty)).toBeNull();
  });
});

const decoder = () =>
  new Js220Decoder({
    main: 'main',
    inputs: 'inputs',
    ticksPerSample: 2,
    power: true,
    logic: ['gpi0', null, null, null, 'trigger'],
    where: 'test',
  });

describe('the stream decoder', () => {
  it('puts nothing out before the time map, and then places the ids near it', () => {
    const unmapped = decoder();
    const message = (port: number, id: number, bytes: number) => {
      const payload = new Uint8Array(4 + bytes);
      new DataView(payload.buffer).setUint32(0, id, true);
      unmapped.message(port, payload, 0, payload.length);
    };
    const round = (id: number) => {
      for (const port of [21, 22, 23]) message(port, id, 400);
      message(20, id, 100);
      for (const port of [24, 28]) message(port, id, 25);
    };
    round(0xffff_ff00);
    expect(unmapped.drain()).toEqual([]);
    unmapped.timeMap({ utc_ns: 0n, counter: 5 * 2 ** 32 + 40, counter_Hz: 2e6 });
    round(0xffff_ff80);
    round(0x48);
    expect(unmapped.drain()).toMatchObject([
      { kind: 'block', stream: 'main', firstTick: 0, length: 200, ticksPerSample: 2 },
      { kind: 'block', stream: 'inputs', firstTick: 0, length: 400, ticksPerSample: 1 },
    ]);
    expect(unmapped.origin).toBe(5 * 2 ** 32 - 128);
  });

  it('survives any bytes in any order, emits no NaN and stays in order', () => {
    const message = fc.record({
      port: fc.constantFrom(20, 21, 22, 23, 24, 28, 5, 31),
      id: fc.oneof(fc.integer({ min: 0, max: 4000 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
      data: fc.uint8Array({ maxLength: 200 }),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 60 }), fc.nat(4000), (messages, counter) => {
        const fuzzed = decoder();
        fuzzed.timeMap({ utc_ns: 0n, counter, counter_Hz: 2e6 });
        const next = new Map<string, number>();
        for (const { port, id, data } of messages) {
          const payload = new Uint8Array(4 + data.length);
          new DataView(payload.buffer).setInt32(0, id, true);
          payload.set(data, 4);
          try {
            fuzzed.message(port, payload, 0, payload.length);
            for (const item of fuzzed.drain()) {
              const expected = next.get(item.stream);
              if (expected !== undefined && item.firstTick !== expected)
                throw new Error(`${item.firstTick} ${expected}`);
              const step = item.stream === 'main' ? 2 : 1;
              next.set(item.stream, item.firstTick + step * (item.kind === 'block' ? item.length : item.count!));
              if (item.kind === 'block' && item.current) {
                const { current, voltage, power } = item;
                for (const values of [current, voltage!, power!]) {
                  if (!values.every(Number.isFinite)) throw new Error('not a number');
                }
              }
            }
          } catch (error) {
            if (!(error instanceof DeviceError)) throw error;
            return;
          }
        }
      }),
      fuzz(2000),
    );
  });
});

describe('a million damaged frames', () => {
  it('give blocks and gaps in order, or a typed error', () => {
    const FRAMES = 64;
    const ports = [20, 21, 22, 23, 24, 28];
    const perMessage = new Map([
      [20, 1008],
      [24, 4032],
      [28, 4032],
    ]);
    const random = randomBelow(12345);
    const transfer = new Uint8Array(512 * FRAMES);
    const view = new DataView(transfer.buffer);
    const pristine = () => {
      const next = new Map(ports.map((port) => [port, 0]));
      for (let k = 0; k < FRAMES; k++) {
        const port = ports[k % ports.length]!;
        view.setUint32(512 * k, (k | (508 << 16) | (port << 25)) >>> 0, true);
        view.setUint32(512 * k + 4, next.get(port)!, true);
        next.set(port, next.get(port)! + (perMessage.get(port) ?? 252));
      }
    };
    let samples = 0;
    for (let round = 0; round < 1_000_000 / FRAMES; round++) {
      pristine();
      for (let k = 0; k < 20; k++) transfer[512 * random(FRAMES) + random(12)] = random(256);
      const fuzzed = decoder();
      fuzzed.timeMap({ utc_ns: 0n, counter: 0, counter_Hz: 2e6 });
      const next = new Map<string, number>();
      try {
        new FrameReader().read(transfer, (port, start, end, missing) => {
          if (missing > 0) fuzzed.linkLoss();
          fuzzed.message(port, transfer, start, end);
        });
        for (const item of fuzzed.drain()) {
          const expected = next.get(item.stream) ?? item.firstTick;
          if (item.firstTick !== expected) expect.fail(`tick ${item.firstTick} instead of ${expected}`);
          const count = item.kind === 'block' ? item.length : item.count!;
          next.set(item.stream, expected + count * (item.stream === 'main' ? 2 : 1));
          if (item.kind === 'block') samples += item.length;
        }
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
      }
    }
    expect(samples).toBeGreaterThan(1e6);
  });
});

describe('bytes from outside', () => {
  it('never break the frame reader or the parsers', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (chunk) => {
        new FrameReader().read(chunk, (_port, start, end) => {
          const payload = chunk.subarray(start, end);
          parseControl(payload);
          parsePublish(payload);
          parseStatistics(payload);
        });
        parseControl(chunk);
        parsePublish(chunk);
        parseStatistics(chunk);
        parseMetadata(Buffer.from(chunk).toString());
      }),
      fuzz(3000),
    );
  });
});
