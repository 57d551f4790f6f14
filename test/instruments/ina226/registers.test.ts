import { describe, expect, it } from 'vitest';
import { averagingFor, periodOf_us } from '../../../src/instruments/ina2xx/averaging.ts';
import { isSaturated } from '../../../src/instruments/ina2xx/conversion-stream.ts';
import { ina226Scale } from '../../../src/instruments/ina226/chip.ts';
import { Ina226Model } from '../../../src/instruments/ina226/chip-model.ts';
import { calibrationRegister, encodeConfiguration, signed16 } from '../../../src/instruments/ina226/protocol.ts';
import { ina226Register, ina226Tables } from '../../../src/instruments/ina226/spec.ts';
import { SteppedSignal } from '../../../src/instruments/signals.ts';

const dc = (current_A: number, voltage_V: number) => new SteppedSignal([{ current_A, duration_s: 1 }], { voltage_V });

/** A chip that was powered at 0 s, with shunt and bus at 1.1 ms each and no averaging. */
const chip = (current_A: number, voltage_V: number, shunt_ohm: number) =>
  new Ina226Model({ source: dc(current_A, voltage_V), shunt_ohm, slow_rel: 0 }, 0);

describe('the configuration of an INA226', () => {
  it.each([
    [500, 1176, 0, 3],
    [1000, 664, 0, 2],
    [3571, 280, 0, 0],
    [3000, 280, 0, 0],
    [100, 8312, 3, 3],
    [10, 75264, 4, 3],
    [1, 563_200, 5, 4],
  ])('for %i Hz converts each %i us', (rate_Hz, period_us) => {
    const configuration = averagingFor(ina226Tables, rate_Hz);
    expect(periodOf_us(ina226Tables, configuration)).toBeLessThanOrEqual(1e6 / rate_Hz);
    expect(periodOf_us(ina226Tables, configuration)).toBeGreaterThanOrEqual(period_us);
  });

  it.each([0.5, 4000, Number.NaN, -1])('refuses %f Hz', (rate_Hz) => {
    expect(() => averagingFor(ina226Tables, rate_Hz)).toThrow(expect.objectContaining({ code: 'instrument.settings' }));
  });

  it('is written as the data sheet says', () => {
    // The value at power-on: no averaging, 1.1 ms each, both continuously.
    expect(encodeConfiguration({ averages: 0, busTime: 4, shuntTime: 4 })).toBe(0x4127);
    expect(periodOf_us(ina226Tables, { averages: 2, busTime: 4, shuntTime: 4 })).toBe(35_200);
  });

  it('computes the calibration register of the data sheet example', () => {
    expect(calibrationRegister(1e-3, 2e-3)).toBe(2560);
    expect(calibrationRegister(2.5e-6 / 0.1, 0.1)).toBe(2048);
    expect(calibrationRegister(1e-9, 1e-3)).toBe(0x7fff);
  });
});

describe('words of an INA226', () => {
  it("have the shunt in two's complement", () => {
    expect([signed16(0x1f40), signed16(0xffff), signed16(0x8000)]).toEqual([8000, -1, -32768]);
  });

  it('are saturated at the ends of the scales', () => {
    const scale = ina226Scale({ address: 0x40, shunt_ohm: 0.1, name: 'main' });
    expect([32767, -32767, -32768, 32766, -32766].map((shunt) => isSaturated(scale, shunt, 0))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(isSaturated(scale, 0, 0x7fff)).toBe(true);
  });
});

describe('the register model of an INA226', () => {
  it('does the arithmetic of the data sheet example', () => {
    const model = chip(10, 11.98, 2e-3);
    model.write(ina226Register.calibration, 2560, 0);
    const now_s = 0.003;
    expect(model.read(ina226Register.shunt, now_s)).toBe(8000);
    expect(model.read(ina226Register.bus, now_s)).toBe(9584);
    expect(model.read(ina226Register.current, now_s)).toBe(10_000);
    expect(model.read(ina226Register.power, now_s)).toBe(4792);
    expect(model.read(ina226Register.manufacturer, now_s)).toBe(0x5449);
    expect(model.read(ina226Register.die, now_s)).toBe(0x2260);
    expect(model.read(ina226Register.configuration, now_s)).toBe(0x4127);
  });

  it('has no current and power without a calibration, and flags an overflow', () => {
    const model = chip(10, 11.98, 2e-3);
    expect([model.read(ina226Register.current, 1), model.read(ina226Register.power, 1)]).toEqual([0, 0]);
    model.write(ina226Register.calibration, 0x7fff, 1);
    expect(model.read(ina226Register.maskEnable, 1) & 0x0004).toBe(0x0004);
  });

  it('clears the ready flag when Mask/Enable is read or the configuration written, not when data are read', () => {
    const model = chip(1, 3, 0.1);
    const isReady = (now_s: number) => (model.read(ina226Register.maskEnable, now_s) & 8) !== 0;
    expect(isReady(0.002)).toBe(false);
    model.read(ina226Register.shunt, 0.0023);
    model.read(ina226Register.bus, 0.0023);
    expect(isReady(0.0024)).toBe(true);
    expect(isReady(0.0024)).toBe(false);
    expect(isReady(0.0045)).toBe(true);
    model.read(ina226Register.shunt, 0.0067);
    model.write(ina226Register.configuration, 0x4127, 0.0067);
    expect(isReady(0.0068)).toBe(false);
    expect(isReady(0.009)).toBe(true);
  });

  it('shows the last whole result until the next is complete', () => {
    const source = new SteppedSignal(
      [
        { current_A: 1, duration_s: 0.0022 },
        { current_A: 2, duration_s: 0.0022 },
      ],
      { voltage_V: 3 },
    );
    const model = new Ina226Model({ source, shunt_ohm: 0.01, slow_rel: 0 }, 0);
    expect([0.002, 0.0023, 0.0043, 0.0045].map((t) => model.read(ina226Register.shunt, t))).toEqual([
      0, 4000, 4000, 8000,
    ]);
  });

  it('converts once in a triggered mode and not at all when powered down', () => {
    const model = chip(1, 3, 0.1);
    model.write(ina226Register.configuration, 0x4123, 0);
    expect(model.read(ina226Register.maskEnable, 0.01) & 8).toBe(8);
    expect(model.read(ina226Register.maskEnable, 0.1) & 8).toBe(0);
    expect(model.nextReady_s(0.1)).toBeNull();
    model.write(ina226Register.configuration, 0x4120, 0.1);
    expect(model.read(ina226Register.maskEnable, 0.2) & 8).toBe(0);
  });

  it('saturates, and reads negative currents', () => {
    expect(signed16(chip(1, 3, 0.1).read(ina226Register.shunt, 1))).toBe(32767);
    expect(signed16(chip(-0.1, 3, 0.1).read(ina226Register.shunt, 1))).toBe(-4000);
    expect(signed16(chip(-1, 3, 0.1).read(ina226Register.shunt, 1))).toBe(-32768);
    expect(chip(0, 50, 0.1).read(ina226Register.bus, 1)).toBe(32767);
  });

  it('is as at power-on after a reset', () => {
    const model = chip(1, 3, 0.1);
    model.write(ina226Register.configuration, 0x4007, 0);
    model.write(ina226Register.calibration, 7, 0);
    model.write(ina226Register.configuration, 0x8000, 1);
    expect(model.read(ina226Register.configuration, 1)).toBe(0x4127);
    expect(model.read(ina226Register.calibration, 1)).toBe(0);
    expect(model.read(ina226Register.shunt, 1)).toBe(0);
  });
});
