import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { averagingFor, periodOf_us } from '../../../src/instruments/ina2xx/averaging.ts';
import { unsignedOf } from '../../../src/instruments/ina2xx/chip-registers.ts';
import { Ina228Model } from '../../../src/instruments/ina228/chip-model.ts';
import {
  accumulatorStep,
  encodeAdcConfig,
  encodeConfig,
  shuntCalibration,
  signed20,
  signed40,
} from '../../../src/instruments/ina228/protocol.ts';
import { ina228Register, ina228Tables } from '../../../src/instruments/ina228/spec.ts';
import { SteppedSignal } from '../../../src/instruments/signals.ts';
import { fuzz } from '../../support/fuzz.ts';

const dc = (current_A: number, voltage_V: number) => new SteppedSignal([{ current_A, duration_s: 1 }], { voltage_V });

/** A chip that was powered at 0 s: shunt, bus and temperature continuously, 1.052 ms each. */
const chip = (current_A: number, voltage_V: number, shunt_ohm: number, slow_rel = 0) =>
  new Ina228Model({ source: dc(current_A, voltage_V), shunt_ohm, slow_rel }, 0);

const READY = 2;

describe('the configuration of an INA228', () => {
  it.each([
    [500, 1600],
    [10_000, 100],
    [100, 8960],
    [10, 86_016],
    [1, 573_440],
  ])('for %i Hz converts each %i us or longer', (rate_Hz, period_us) => {
    const period = periodOf_us(ina228Tables, averagingFor(ina228Tables, rate_Hz));
    expect(period).toBeLessThanOrEqual(1e6 / rate_Hz);
    expect(period).toBeGreaterThanOrEqual(period_us);
  });

  it.each([0.5, 10_001, Number.NaN])('refuses %f Hz', (rate_Hz) => {
    expect(() => averagingFor(ina228Tables, rate_Hz)).toThrow(expect.objectContaining({ code: 'instrument.settings' }));
  });

  it('is written as the register map says', () => {
    // As at power-on (1.052 ms, no averaging) but for the temperature.
    expect(encodeAdcConfig({ averages: 0, busTime: 5, shuntTime: 5 })).toBe(0xbb40);
    expect(encodeAdcConfig({ averages: 7, busTime: 1, shuntTime: 2 })).toBe(0xb287);
    expect([encodeConfig(0), encodeConfig(1)]).toEqual([0, 0x10]);
  });

  it('has the calibration that the step of the current demands, four times that in the finer range', () => {
    expect(shuntCalibration(10 / 2 ** 19, 0.015, 0)).toBe(3750);
    expect(shuntCalibration(312.5e-9 / 0.1, 0.1, 0)).toBe(4096);
    expect(shuntCalibration(78.125e-9 / 0.1, 0.1, 1)).toBe(4096);
    expect(shuntCalibration(1, 1, 0)).toBe(0x7fff);
  });
});

describe('registers of an INA228', () => {
  it('hold 20 bits in bits 23:4, in two’s complement', () => {
    expect([0x000010, 0x7ffff0, 0x800000, 0xfffff0, 0xffffff].map(signed20)).toEqual([1, 524_287, -524_288, -1, -1]);
  });

  it('hold 40 bits', () => {
    expect([0, 1, 2 ** 39 - 1, 2 ** 39, 2 ** 40 - 1].map(signed40)).toEqual([0, 1, 2 ** 39 - 1, -(2 ** 39), -1]);
    expect(unsignedOf(Uint8Array.of(0xff, 0xee, 0xdd, 0xcc, 0xbb), 5)).toBe(0xffeeddccbb);
    expect(unsignedOf(Uint8Array.of(1, 2), 3)).toBeNull();
  });

  it('tell how far an accumulator went on, through a wrap and backwards', () => {
    expect(accumulatorStep(5, 12)).toBe(7);
    expect(accumulatorStep(2 ** 40 - 3, 4)).toBe(7);
    expect(accumulatorStep(2 ** 39 - 2, 2 ** 39 + 1)).toBe(3);
    expect(accumulatorStep(12, 5)).toBe(-7);
    expect(accumulatorStep(1, 2 ** 40 - 1)).toBe(-2);
  });

  it('whatever bytes come, give whole numbers within their bits', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 6 }),
        fc.uint8Array({ minLength: 5, maxLength: 5 }),
        (a, b) => {
          const [x, y] = [unsignedOf(a, 5), unsignedOf(b, 5)!];
          const step = accumulatorStep(x ?? 0, y);
          expect(Number.isInteger(step) && Math.abs(step) <= 2 ** 39).toBe(true);
          expect(Math.abs(signed20(unsignedOf(b, 3)!))).toBeLessThanOrEqual(2 ** 19);
          expect(((signed40(y) % 2 ** 40) + 2 ** 40) % 2 ** 40).toBe(y);
        },
      ),
      fuzz(5000),
    );
  });
});

describe('the register model of an INA228', () => {
  it('is as the register map says at power-on', () => {
    const model = chip(0, 0, 0.1);
    expect(model.read(ina228Register.adcConfiguration, 0)).toBe(0xfb68);
    expect(model.read(ina228Register.shuntCalibration, 0)).toBe(0x1000);
    expect(model.read(ina228Register.manufacturer, 0)).toBe(0x5449);
    expect(model.read(ina228Register.die, 0) & 0xfff0).toBe(0x2280);
    expect(model.read(ina228Register.diagnostics, 0)).toBe(1);
  });

  it('does the arithmetic of the data sheet: 10 A of full scale at 15 mohm', () => {
    const model = chip(6, 48, 0.015);
    model.write(ina228Register.shuntCalibration, 3750, 0);
    const step_A = 10 / 2 ** 19;
    const now_s = 0.01;
    expect(signed20(model.read(ina228Register.shunt, now_s)) * 312.5e-9).toBeCloseTo(0.09, 6);
    expect(signed20(model.read(ina228Register.bus, now_s)) * 195.3125e-6).toBeCloseTo(48, 3);
    expect(signed20(model.read(ina228Register.current, now_s)) * step_A).toBeCloseTo(6, 4);
    expect(model.read(ina228Register.power, now_s) * 3.2 * step_A).toBeCloseTo(288, 2);
    // One second, to the last whole conversion of three times 1.052 ms.
    expect(model.read(ina228Register.energy, 1) * 16 * 3.2 * step_A).toBeCloseTo(288 * 0.999, 0);
    expect(signed40(model.read(ina228Register.charge, 1)) * step_A).toBeCloseTo(6 * 0.999, 1);
  });

  it('has four times as fine steps in the finer range, of which it holds a quarter', () => {
    const model = chip(0.1, 3, 0.1);
    model.write(ina228Register.configuration, 0x10, 0);
    expect(signed20(model.read(ina228Register.shunt, 0.01))).toBe(128_000);
    const beyond = chip(0.5, 3, 0.1);
    beyond.write(ina228Register.configuration, 0x10, 0);
    expect(signed20(beyond.read(ina228Register.shunt, 0.01))).toBe(2 ** 19 - 1);
  });

  it('counts charge with its sign and energy without, in seconds of its own oscillator', () => {
    const model = chip(-0.2, 5, 0.1, 0.01);
    const now_s = 3.156e-3 * 1.01 * 100 + 1e-6;
    const own_s = 3.156e-3 * 100;
    expect(signed40(model.read(ina228Register.charge, now_s)) * 3.125e-6).toBeCloseTo(-0.2 * own_s, 4);
    expect(model.read(ina228Register.energy, now_s) * 51.2 * 3.125e-6).toBeCloseTo(1 * own_s, 3);
  });

  it('sets the accumulators to zero on RSTACC, and goes on', () => {
    const model = chip(0.2, 5, 0.1);
    expect(model.read(ina228Register.energy, 1)).toBeGreaterThan(6000);
    model.write(ina228Register.configuration, 0x4000, 1);
    expect(model.read(ina228Register.configuration, 1)).toBe(0);
    expect([model.read(ina228Register.energy, 1), model.read(ina228Register.charge, 1)]).toEqual([0, 0]);
    expect(model.read(ina228Register.energy, 2)).toBeGreaterThan(6000);
  });

  it('tells that an accumulator wrapped until that one is read', () => {
    const model = chip(0.2, 5, 0.1);
    model.fillAccumulators(0.5);
    const flags = (now_s: number) => model.read(ina228Register.diagnostics, now_s) & 0x0c00;
    expect(flags(0.5)).toBe(0);
    expect(flags(1)).toBe(0x0c00);
    expect(model.read(ina228Register.energy, 1)).toBeLessThan(10_000);
    expect(flags(1)).toBe(0x0400);
    expect(signed40(model.read(ina228Register.charge, 1))).toBeLessThan(0);
    expect(flags(1)).toBe(0);
  });

  it('clears the ready flag when DIAG_ALRT is read or ADC_CONFIG written, not when results are read', () => {
    const model = chip(1, 3, 0.1);
    const isReady = (now_s: number) => (model.read(ina228Register.diagnostics, now_s) & READY) !== 0;
    expect(isReady(0.003)).toBe(false);
    model.read(ina228Register.shunt, 0.0032);
    expect(isReady(0.0033)).toBe(true);
    expect(isReady(0.0033)).toBe(false);
    model.write(ina228Register.adcConfiguration, 0xfb68, 0.007);
    expect(isReady(0.01)).toBe(false);
    expect(isReady(0.0102)).toBe(true);
  });

  it('converts once in a triggered mode, later with a delay, and not at all when shut down', () => {
    const model = chip(1, 3, 0.1);
    model.write(ina228Register.adcConfiguration, 0x3b40, 0);
    expect(model.read(ina228Register.diagnostics, 0.01) & READY).toBe(READY);
    expect(model.read(ina228Register.diagnostics, 0.1) & READY).toBe(0);
    expect(model.nextReady_s(0.1)).toBeNull();
    model.write(ina228Register.configuration, 5 << 6, 0.1);
    model.write(ina228Register.adcConfiguration, 0xbb40, 0.1);
    expect(model.nextReady_s(0.1)).toBeCloseTo(0.1 + 0.01 + 2 * 1.052e-3, 9);
    const before = model.read(ina228Register.energy, 0.2);
    model.write(ina228Register.adcConfiguration, 0x0b40, 0.2);
    expect(model.read(ina228Register.diagnostics, 0.3) & READY).toBe(0);
    expect(model.read(ina228Register.energy, 0.3)).toBe(before);
  });

  it('has no current without a calibration, and tells that its arithmetic overflowed', () => {
    const model = chip(1, 3, 0.1);
    model.write(ina228Register.shuntCalibration, 0, 0);
    expect(model.read(ina228Register.current, 0.1)).toBe(0);
    model.write(ina228Register.shuntCalibration, 1, 0.1);
    expect(model.read(ina228Register.diagnostics, 0.2) & 0x0200).toBe(0x0200);
    expect(signed20(model.read(ina228Register.current, 0.2))).toBe(2 ** 19 - 1);
  });

  it('is as at power-on after a reset', () => {
    const model = chip(1, 3, 0.1);
    model.write(ina228Register.shuntCalibration, 7, 0);
    model.write(ina228Register.diagnostics, 0xc000, 0);
    model.write(ina228Register.configuration, 0x8000, 1);
    expect(model.read(ina228Register.shuntCalibration, 1)).toBe(0x1000);
    expect(model.read(ina228Register.diagnostics, 1)).toBe(1);
    expect(model.read(ina228Register.energy, 1)).toBe(0);
  });
});
