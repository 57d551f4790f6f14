import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  calibrationLength,
  encodeExtio,
  encodeSettings,
  parseCalibration,
  parseExtio,
  parseInfo,
  parseStatus,
} from '../../../src/instruments/js110/protocol.ts';
import { js110Gpi, js110Select } from '../../../src/instruments/js110/spec.ts';
import { JoulemarkError } from '../../../src/signal/errors.ts';
import { fuzz } from '../../support/fuzz.ts';
import { recordingsRoot } from '../../support/recordings.ts';

const realRecord = join(recordingsRoot, 'formats', 'js110_cal_01.dat');
const noRecord = !existsSync(realRecord);

describe('control packets of a JS110', () => {
  it('carry settings as specified', () => {
    const settings = { sensorPower: true, select: js110Select.auto, source: 0xc0, voltageRange: '5 V' as const };
    expect(Buffer.from(encodeSettings({ ...settings, streaming: 3 })).toString('hex')).toBe(
      '011001000000000001' + '80c00203000000',
    );
  });

  it('carry extio as specified, and read it back', () => {
    const extio = { currentGpi: js110Gpi.gpi0, voltageGpi: js110Gpi.gpi1, gpo0: 0, gpo1: 1, ioVoltage_mV: 1800 };
    const bytes = encodeExtio(extio);
    expect(Buffer.from(bytes).toString('hex')).toBe('0118030000000000' + '0000020300010000' + '0000000008070000');
    expect(parseExtio(bytes)).toEqual(extio);
    expect(
      parseExtio(encodeSettings({ sensorPower: true, select: 1, source: 0, voltageRange: '15 V', streaming: 0 })),
    ).toBeNull();
  });

  it('tell results, integrals and extremes in their fixed-point formats', () => {
    const bytes = new Uint8Array(104);
    const view = new DataView(bytes.buffer);
    bytes.set([1, 104, 2]);
    view.setInt32(8, 19, true);
    view.setBigInt64(24, 2_000_000n, true);
    view.setBigInt64(40, BigInt(0.5 * 2 ** 27), true);
    view.setBigInt64(48, BigInt(1.5 * 2 ** 27), true);
    view.setInt32(56, 1000, true);
    view.setInt32(68, 0.25 * 2 ** 27, true);
    view.setInt32(80, 3.5 * 2 ** 17, true);
    view.setInt32(96, 0.75 * 2 ** 21, true);
    expect(parseStatus(bytes)).toMatchObject({
      settingsResult: 19,
      statistics: {
        samplesTotal: 2_000_000,
        charge_C: 0.5,
        energy_J: 1.5,
        meanCurrent_A: 0.25,
        meanVoltage_V: 3.5,
        maxPower_W: 0.75,
      },
    });
    expect(parseStatus(bytes.subarray(0, 24))).toEqual({ settingsResult: 19, statistics: null });
    expect(parseStatus(bytes.subarray(0, 23))).toBeNull();
    expect(parseStatus(Uint8Array.from(bytes, (byte, k) => (k === 2 ? 3 : byte)))).toBeNull();
  });

  it('tell firmware and hardware, with or without a header before the JSON', () => {
    const json = Buffer.from('{"ctl":{"fw":{"ver":"1.3.4"},"hw":{"rev":"H"}}}');
    expect(parseInfo(json)).toEqual({ firmware: '1.3.4', hardware: 'H' });
    expect(parseInfo(Buffer.concat([Buffer.from('0108040000000000', 'hex'), json, Buffer.alloc(20)]))).toEqual({
      firmware: '1.3.4',
      hardware: 'H',
    });
    expect(parseInfo(Buffer.from('{"type":"info"}'))).toEqual({ firmware: null, hardware: null });
    expect(parseInfo(Buffer.from('{{{'))).toBeNull();
    expect(parseInfo(Buffer.from('[1]'))).toBeNull();
  });

  it('survive any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parseStatus(bytes);
        parseExtio(bytes);
        parseInfo(bytes);
        try {
          parseCalibration(bytes, 'test');
        } catch (error) {
          expect(error).toBeInstanceOf(JoulemarkError);
        }
      }),
      fuzz(5000),
    );
  });
});

describe.skipIf(noRecord)('a real calibration record', () => {
  const bytes = noRecord ? new Uint8Array() : new Uint8Array(readFileSync(realRecord));

  it('gives its coefficients, although range 7 holds the bare word NaN', () => {
    expect(calibrationLength(bytes.subarray(0, 32), 'test')).toBe(968);
    const record = parseCalibration(bytes, 'test');
    expect(record.sections).toEqual(['SGS', 'HDR', 'AJS', 'SGE', 'END']);
    expect(record.currentOffset).toHaveLength(7);
    expect(record.currentOffset[0]).toBe(-2806.7177734375);
    expect(record.currentGain[0]).toBe(0.0006828914629295468);
    expect(record.voltageGain).toEqual([0.0009468112839385867, 0.0002934212679974735]);
  });

  it('is refused with the place of the damage, wherever it is damaged', () => {
    const section = (at: number) => Buffer.from(bytes).indexOf('AJS') <= at;
    fc.assert(
      fc.property(fc.nat(967), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = bytes.slice();
        damaged[at]! ^= change;
        expect(() => parseCalibration(damaged, 'JS110')).toThrow(
          expect.objectContaining({ code: 'js110.calibration', where: expect.stringMatching(/^JS110.*byte \d+$/) }),
        );
        expect(section(at)).toBeTypeOf('boolean');
      }),
      fuzz(300),
    );
    for (const length of [0, 31, 32, 500, 967]) {
      expect(() => parseCalibration(bytes.subarray(0, length), 'JS110')).toThrow(
        expect.objectContaining({ code: 'js110.calibration' }),
      );
    }
  });
});
