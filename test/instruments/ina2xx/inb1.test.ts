import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cobsDecode, crc16, Inb1Reader, parseInb1 } from '../../../src/instruments/ina2xx/inb1.ts';
import { fuzz } from '../../support/fuzz.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));

/** Content with its checksum. */
function sealed(text: string): Uint8Array {
  const content = hex(text);
  const crc = crc16(content);
  return Uint8Array.from([...content, crc & 0xff, crc >> 8]);
}

describe('INB1', () => {
  it('has the checksum CRC-16/CCITT-FALSE', () => {
    expect(crc16(Buffer.from('123456789'))).toBe(0x29b1);
  });

  it.each([
    ['0101', '00'],
    ['0311220233', '11220033'],
    ['021101023301', '1100003300'],
    ['01', ''],
    [`ff${'aa'.repeat(254)}`, 'aa'.repeat(254)],
    [`ff${'aa'.repeat(254)}02bb`, `${'aa'.repeat(254)}bb`],
  ])('unstuffs %s', (stuffed, plain) => {
    expect(Buffer.from(cobsDecode(hex(stuffed))!).toString('hex')).toBe(plain);
  });

  it.each(['00', '05aa', '0300aa', 'ff'])('refuses %s, whose codes do not fit', (stuffed) => {
    const decoded = cobsDecode(hex(stuffed));
    if (stuffed === '0300aa') expect(decoded).toEqual(hex('00aa'));
    else expect(decoded).toBeNull();
  });

  it('takes every kind of frame apart', () => {
    expect(parseInb1(sealed('010140420f0001002627 41cdcccc3d'.replace(/ /g, '')))).toEqual({
      type: 'hello',
      version: 1,
      tickHz: 1_000_000,
      chips: [{ chip: 0, model: 0x26, configuration: 0x4127, shunt_ohm: Math.fround(0.1) }],
    });
    expect(parseInb1(sealed('02010a000000e803000000000000b0040000020000401f7025b0040080ff7f'))).toEqual({
      type: 'samples',
      chip: 1,
      sequence: 10,
      nominal_ticks: 1200,
      ticks: [1000, 2200],
      shunt: [8000, -32768],
      bus: [9584, 32767],
    });
    // INA228: 32 bits a code.
    expect(parseInb1(sealed('02000a000000e803000000000000b00400000200000000f8ff00f40100b0040700000011050000'))).toEqual(
      {
        type: 'samples',
        chip: 0,
        sequence: 10,
        nominal_ticks: 1200,
        ticks: [1000, 2200],
        shunt: [-524_288, 7],
        bus: [128_000, 1297],
      },
    );
    expect(parseInb1(sealed('02010a000000e803000000000000b0040000020000401f7025b0040080ff'))).toBeNull();
    expect(parseInb1(sealed('03e803000000000000020107000000'))).toEqual({
      type: 'edge',
      tick: 1000,
      line: 2,
      isHigh: true,
      sequence: 7,
    });
    expect(parseInb1(sealed('040005000000'))).toEqual({ type: 'overrun', chip: 0, lost: 5 });
    expect(parseInb1(sealed('066f6b206964'))).toEqual({ type: 'log', text: 'ok id' });
    expect(parseInb1(sealed('05'))).toBeNull();
    expect(parseInb1(sealed('0200'))).toBeNull();
  });

  it('leaves damaged frames out and counts them', () => {
    const reader = new Inb1Reader();
    const frame = (content: Uint8Array) => {
      // No byte of these contents is zero.
      return Uint8Array.from([content.length + 1, ...content, 0]);
    };
    const good = sealed('066f6b206964');
    const bad = good.slice();
    bad[2]! ^= 1;
    const messages = [frame(good), frame(bad), frame(good)].flatMap((bytes) => reader.push(bytes));
    expect(messages).toEqual([
      { type: 'log', text: 'ok id' },
      { type: 'log', text: 'ok id' },
    ]);
    expect(reader.damaged).toBe(1);
  });

  it('survives any bytes, also without an end', () => {
    const reader = new Inb1Reader();
    for (let k = 0; k < 20; k++) reader.push(new Uint8Array(10_000).fill(7));
    expect(reader.push(Uint8Array.of(0))).toEqual([]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        new Inb1Reader().push(bytes);
        const crc = crc16(bytes);
        parseInb1(Uint8Array.from([...bytes, crc & 0xff, crc >> 8]));
      }),
      fuzz(20_000),
    );
  });

  it.each([
    ['INA226', '02010a000000e803000000000000b0040000020000401f7025b0040080ff7f'],
    ['INA228', '02000a000000e803000000000000b00400000200000000f8ff00f40100b0040700000011050000'],
  ])('reads a million damaged frames of an %s without inventing one', (_name, frame) => {
    const content = sealed(frame);
    const stuffed: number[] = [];
    for (const group of Buffer.from(content).toString('latin1').split('\0')) {
      stuffed.push(group.length + 1, ...Buffer.from(group, 'latin1'));
    }
    const reader = new Inb1Reader();
    let state = 5;
    const next = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state >>> 8) % below;
    };
    let read = 0;
    for (let k = 0; k < 1_000_000; k++) {
      const bytes = Uint8Array.from([...stuffed, 0]);
      const at = next(stuffed.length);
      bytes[at]! ^= 1 + next(255);
      read += reader.push(bytes).length;
    }
    // Chance fits a checksum of 16 bits once in 65,536 times, and never for a single wrong byte that stays one.
    expect(read).toBeLessThan(40);
    expect(reader.damaged).toBeGreaterThan(990_000);
  });
});
