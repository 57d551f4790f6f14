import { describe, expect, it } from 'vitest';
import { VirtualDut, virtualAnswers, virtualBenchmarks } from '../../../src/dut/virtual/index.ts';
import { Plant } from '../../../src/plant/plant.ts';
import { Random } from '../../../src/plant/random.ts';

function dutAt(baud: number) {
  const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: { D0: true } });
  return { plant, dut: new VirtualDut(plant, new Random(1), 'D0', baud) };
}

describe('the virtual DUT', () => {
  it('takes ten bits a character to print, and logs a line when its last character is out', () => {
    const { dut } = dutAt(9600);
    const lines = [...dut.say('m-ready', 'm-ready')];
    expect(lines.map((line) => line.time_s)).toEqual([9 / 960, 18 / 960]);
    dut.receive(96);
    expect(dut.now_s).toBeCloseTo(0.11875, 12);
  });

  it('marks a moment by a falling edge and raises the line 50 us later', () => {
    const { plant, dut } = dutAt(9600);
    dut.idle(1);
    dut.timestamp();
    dut.idle(1);
    expect(plant.edgesBetween(0, 2)).toEqual([
      { time_s: 1, channel: 'D0', polarity: 'fall' },
      { time_s: 1 + 50e-6, channel: 'D0', polarity: 'rise' },
    ]);
  });

  it('varies a little from inference to inference', () => {
    const { plant, dut } = dutAt(9600);
    const energies: number[] = [];
    const durations: number[] = [];
    for (let k = 0; k < 400; k++) {
      const start_s = dut.now_s;
      dut.infer(virtualBenchmarks.kws01);
      durations.push(dut.now_s - start_s);
      energies.push(plant.energy_J(start_s, dut.now_s));
    }
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const cv = (values: number[]) => Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2))) / mean(values);
    expect(mean(durations)).toBeCloseTo(0.042, 4);
    expect(mean(energies) * 1e3).toBeCloseTo(1.52, 1);
    expect(cv(durations)).toBeGreaterThan(4e-4);
    expect(cv(durations)).toBeLessThan(6e-4);
    expect(cv(energies)).toBeGreaterThan(1.8e-3);
    expect(cv(energies)).toBeLessThan(2.4e-3);
  });

  it('runs every benchmark for at least 10 s and 10 iterations a window, its shares of time adding up to one', () => {
    for (const benchmark of Object.values(virtualBenchmarks)) {
      expect(benchmark.iterations).toBeGreaterThanOrEqual(10);
      expect(benchmark.iterations * benchmark.inference_s).toBeGreaterThan(10.2);
      expect(benchmark.phases.reduce((sum, phase) => sum + phase.share, 0)).toBeCloseTo(1, 12);
    }
  });
});

describe('the answers of the virtual DUT', () => {
  it.each([
    [12, 500, 0.1, 50],
    [2, 7, 0.5, 4],
    [10, 5, 0, 0],
    [12, 30, 1, 30],
  ])('with %i classes and %i inputs at a rate of %f are wrong exactly %i times', (classes, count, rate, expected) => {
    const answers = [...virtualAnswers('m', classes, count, rate, new Random(2))];
    expect(answers).toHaveLength(count);
    expect(new Set(answers.map((answer) => answer.input)).size).toBe(count);
    const wrong = answers.filter(({ scores, label }) => {
      const numbers = scores.map(Number);
      expect(numbers).toHaveLength(classes);
      return numbers.indexOf(Math.max(...numbers)) !== label;
    });
    expect(wrong).toHaveLength(expected);
  });

  it('with one class are anomaly scores that part at 10, but for the wrong ones', () => {
    const answers = [...virtualAnswers('ad01', 1, 100, 0.12, new Random(2))];
    const wrong = answers.filter(({ scores, label }) => Number(scores[0]) > 10 !== (label === 1));
    expect(wrong).toHaveLength(12);
  });
});
