import { describe, expect, it } from 'vitest';
import { Plant } from '../../src/plant/plant.ts';
import { Random } from '../../src/plant/random.ts';
import { Waves } from '../../src/plant/waves.ts';

const waves = [
  { amplitude: 0.02, frequency_Hz: 2310, phase_rad: 0.3 },
  { amplitude: 0.01, frequency_Hz: 100, phase_rad: 2 },
  { amplitude: 0.05, frequency_Hz: 0.02, phase_rad: 1 },
];

/** Composite Simpson's rule. */
function simpson(f: (t: number) => number, a: number, b: number, n: number): number {
  const h = (b - a) / (2 * n);
  let sum = f(a) + f(b);
  for (let k = 1; k < 2 * n; k++) sum += (k % 2 === 1 ? 4 : 2) * f(a + k * h);
  return (sum * h) / 3;
}

function steppedPlant(): { plant: Plant; borders: number[] } {
  const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0.7, waves, channels: { D0: true } });
  const random = new Random(11);
  const borders = [0];
  for (let k = 0; k < 40; k++) {
    plant.hold(plant.horizon_s + random.between(1e-5, 4e-3), random.between(1e-3, 2e-2));
    borders.push(plant.horizon_s);
  }
  return { plant, borders };
}

describe('Waves', () => {
  it('integrates the ripple and its square exactly', () => {
    const sum = new Waves(waves);
    for (const [a, b] of [
      [0, 1e-3],
      [1000.0001, 1000.0123],
      [5, 5.2],
    ]) {
      const n = Math.ceil((b - a) * 2310 * 400);
      expect(sum.integral(a, b)).toBeCloseTo(
        simpson((t) => sum.at(t), a, b, n),
        13,
      );
      expect(sum.integralOfSquare(a, b)).toBeCloseTo(
        simpson((t) => sum.at(t) ** 2, a, b, n),
        14,
      );
    }
  });

  it('gives means that are the integral over the interval', () => {
    const sum = new Waves(waves);
    const means = new Float64Array(10_000);
    sum.fillMeans(17.3, 5e-5, means.length, means);
    for (const k of [0, 1, 4095, 4096, 9999]) {
      const from = 17.3 + k * 5e-5;
      expect(means[k]).toBeCloseTo(1 + sum.integral(from, from + 5e-5) / 5e-5, 10);
    }
  });

  it('refuses two sinusoids of one frequency, whose square has no such integral', () => {
    expect(() => new Waves([waves[0], waves[0]])).toThrow(RangeError);
  });
});

describe('Plant', () => {
  it('gives energies that numerical integration of V*I confirms', () => {
    const { plant, borders } = steppedPlant();
    const [a, b] = [0.0103, 0.0711];
    const power = (t: number) => plant.currentAt(t) * plant.voltageAt(t);
    const cuts = [a, ...borders.filter((t) => t > a && t < b), b];
    let expected = 0;
    for (let k = 0; k + 1 < cuts.length; k++) {
      // The level changes at the cut itself: stay just inside.
      expected += simpson(power, cuts[k] + 1e-15, cuts[k + 1] - 1e-15, 200);
    }
    expect(Math.abs(plant.energy_J(a, b) / expected - 1)).toBeLessThan(1e-9);
  });

  it('gives means whose sum is the exact charge, however the intervals fall on the steps', () => {
    const { plant } = steppedPlant();
    for (const dt of [1e-5, 1.3e-4, 7e-3]) {
      const n = Math.floor(plant.horizon_s / dt);
      const [current, voltage] = [new Float64Array(n), new Float64Array(n)];
      plant.fillMeans(0, dt, n, current, voltage);
      const charge = current.reduce((sum, mean) => sum + mean * dt, 0);
      expect(Math.abs(charge / plant.integrals(0, n * dt).charge_C - 1)).toBeLessThan(1e-12);
      const volts = voltage.reduce((sum, mean) => sum + mean, 0) / n;
      expect(volts).toBeCloseTo(3 - 0.7 * (charge / (n * dt)), 10);
    }
  });

  it('gives the same means whether it is asked in one piece or in many', () => {
    const { plant } = steppedPlant();
    const dt = 5e-5;
    const n = Math.floor(plant.horizon_s / dt);
    const [whole, whole_V, piece, piece_V] = Array.from({ length: 4 }, () => new Float64Array(n));
    plant.fillMeans(0, dt, n, whole, whole_V);
    for (let k = 0; k < n; k += 37) {
      const m = Math.min(37, n - k);
      plant.fillMeans(k * dt, dt, m, piece, piece_V);
      for (let j = 0; j < m; j++) expect(piece[j]).toBeCloseTo(whole[k + j], 13);
    }
  });

  it('adds energies up over adjacent intervals', () => {
    const { plant } = steppedPlant();
    const parts = plant.energy_J(0.001, 0.02) + plant.energy_J(0.02, 0.0333) + plant.energy_J(0.0333, 0.06);
    expect(Math.abs(parts / plant.energy_J(0.001, 0.06) - 1)).toBeLessThan(1e-12);
  });

  it('can be driven while it is read, and what was read stays true', () => {
    const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0.5, waves, channels: {} });
    plant.hold(0.01, 5e-3);
    const before = plant.energy_J(0, 0.01);
    expect(() => plant.energy_J(0, 0.02)).toThrow(/beyond the horizon/);
    plant.hold(0.02, 8e-3);
    expect(plant.energy_J(0, 0.01)).toBe(before);
    expect(plant.energy_J(0, 0.02)).toBeGreaterThan(before);
  });

  it('asks its driver for more when a reader wants more', () => {
    const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: {} });
    plant.onDemand((until_s) => {
      while (plant.horizon_s < until_s) plant.hold(plant.horizon_s + 0.25, 1e-3);
    });
    expect(plant.energy_J(0, 1)).toBeCloseTo(3e-3, 15);
    expect(plant.horizon_s).toBe(1);
  });

  it('keeps its last state for ever after its end', () => {
    const plant = new Plant({ supply_V: 2, sourceResistance_ohm: 0, waves: [], channels: { D0: false } });
    plant.hold(1, 5e-3);
    plant.finish();
    expect(plant.end_s).toBe(1);
    expect(plant.energy_J(10, 11)).toBeCloseTo(1e-2, 15);
    const [current, voltage] = [new Float64Array(4), new Float64Array(4)];
    plant.fillMeans(0.9, 0.1, 4, current, voltage);
    expect([...current]).toEqual(Array(4).fill(5e-3));
    expect(() => plant.hold(2, 1e-3)).toThrow(RangeError);
  });

  it('has no current and no voltage while its supply is off', () => {
    const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0.5, waves, channels: {} });
    plant.hold(1, 5e-3);
    plant.setSupply(0);
    plant.hold(2, 0);
    expect(plant.voltageAt(1.5)).toBe(0);
    expect(plant.energy_J(1, 2)).toBe(0);
  });

  it('tells edges in time order and levels that include the edge at their own time', () => {
    const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: { D0: true, D1: false } });
    plant.edge(0.5, 'D0', 'fall');
    plant.edge(0.75, 'D1', 'rise');
    plant.edge(0.75, 'D0', 'rise');
    plant.hold(1, 1e-3);
    expect(plant.edgesBetween(0, 0.75)).toEqual([{ time_s: 0.5, channel: 'D0', polarity: 'fall' }]);
    expect(plant.edgesBetween(0.75, 1)).toHaveLength(2);
    expect([0.4999, 0.5, 0.7499, 0.75].map((t) => plant.levelAt('D0', t))).toEqual([true, false, false, true]);
    expect(plant.levelAt('D1', 0.1)).toBe(false);
    expect(plant.levelAt('nowhere', 0.1)).toBe(false);
  });

  it('refuses edges that come too late, twice or on no line', () => {
    const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: { D0: true } });
    plant.hold(1, 1e-3);
    expect(() => plant.edge(0.5, 'D0', 'fall')).toThrow(/too late/);
    expect(() => plant.edge(1, 'D0', 'rise')).toThrow(/twice/);
    expect(() => plant.edge(1, 'D9', 'fall')).toThrow(/no trigger line/);
  });

  it('forgets the past without changing what follows', () => {
    const make = () => {
      const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0.5, waves, channels: { D0: false } });
      for (let k = 0; k < 10_000; k++) {
        plant.edge(plant.horizon_s, 'D0', k % 2 === 0 ? 'rise' : 'fall');
        plant.hold((k + 1) * 1e-3, 1e-3 + (k % 7) * 1e-4);
      }
      return plant;
    };
    const [kept, forgetful] = [make(), make()];
    forgetful.forget(9);
    expect(forgetful.energy_J(9, 10)).toBe(kept.energy_J(9, 10));
    expect(forgetful.levelAt('D0', 9.0005)).toBe(kept.levelAt('D0', 9.0005));
    expect(forgetful.edgesBetween(9, 10)).toEqual(kept.edgesBetween(9, 10));
    expect(() => forgetful.energy_J(1, 2)).toThrow(/forgotten/);
  });
});
