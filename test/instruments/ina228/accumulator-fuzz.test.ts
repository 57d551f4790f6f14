import { describe, expect, it } from 'vitest';
import { ChipRegisters } from '../../../src/instruments/ina2xx/chip-registers.ts';
import { AccumulatorOutput } from '../../../src/instruments/ina228/accumulator-output.ts';
import type { I2cBus } from '../../../src/transport/i2c.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { randomFractions } from '../../support/random.ts';

describe('whatever stands in the accumulators', () => {
  it('samples are finite, not negative, no more than the chip can measure, and follow each other', async () => {
    const random = randomFractions(7);
    const time = new VirtualTime();
    const rail = { address: 0x40, shunt_ohm: 0.1, name: 'main' };
    const full = 2 ** 19 - 1;
    const scale = {
      shuntStep_V: 312.5e-9,
      busStep_V: 195.3125e-6,
      fullShunt: full,
      fullBus: full,
      ranges: [],
      range: 0,
    };
    let registers: Record<number, number> = {};
    const bus: I2cBus = {
      name: 'random',
      readRegister: async (_address, register, length) => {
        const value = registers[register] ?? 0;
        return Uint8Array.from({ length }, (_, k) => Math.floor(value / 256 ** (length - 1 - k)) % 256);
      },
      writeRegister: async () => {},
      close: async () => {},
    };
    const chip = new ChipRegisters(bus, 0x40, time);
    const output = new AccumulatorOutput({ rail, scale, currentStep_A: 3.125e-6, averages: 4, period_us: 2000 });
    const whole = (below: number) => Math.floor(random() * below);
    let [energy, charge, end_ns, last_ns] = [0, 0, 0, 0];
    let [samples, gaps] = [0, 0];
    for (let k = 0; k < 20_000; k++) {
      const isRubbish = random() < 0.1;
      energy = isRubbish ? whole(2 ** 40) : (energy + whole(2300)) % 2 ** 40;
      charge = isRubbish ? whole(2 ** 40) : (charge + whole(1000)) % 2 ** 40;
      registers = { 4: isRubbish ? whole(2 ** 24) : 0x1000, 9: energy, 10: charge };
      const missed = random() < 0.1 ? whole(50) : 0;
      const start_ns = end_ns + missed * 2e6;
      end_ns = start_ns + 2e6;
      await output.read(chip, whole(2 ** 16));
      const now_ns = end_ns + whole(1e6);
      for (const chunk of output.take({
        start_ns,
        end_ns,
        u_ns: 1e5,
        missed,
        now_ns,
        period_ns: 2e6,
        isTorn: false,
      })) {
        if (chunk.kind === 'gap') {
          gaps++;
          expect(chunk).toMatchObject({ cause: 'invalid' });
          continue;
        }
        for (let i = 0; i < chunk.length; i++) {
          const duration_s = (chunk.endTicks![i]! - chunk.startTicks![i]!) / 1e9;
          expect(chunk.startTicks![i]!).toBeGreaterThanOrEqual(last_ns);
          expect(duration_s).toBeGreaterThan(0);
          last_ns = chunk.endTicks![i]!;
          expect(chunk.energy![i]!).toBeGreaterThanOrEqual(0);
          // Full scale is 1.6384 A at 102.4 V.
          expect(chunk.energy![i]!).toBeLessThan(1.2 * 1.6384 * 102.4 * duration_s + 200e-6);
          expect(Number.isFinite(chunk.current![i]!)).toBe(true);
          samples++;
        }
      }
    }
    expect(samples).toBeGreaterThan(10_000);
    expect(gaps).toBeGreaterThan(1000);
  });
});
