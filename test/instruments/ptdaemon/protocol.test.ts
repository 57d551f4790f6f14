import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSample } from '../../../src/capture/formats/ptdaemon/sample-line.ts';
import { PtdaemonEmulator, PtdClient, runWithRanging } from '../../../src/instruments/ptdaemon/index.ts';
import {
  newestUncertainty,
  parseIdentify,
  parseRanges,
  parseUncertainty,
} from '../../../src/instruments/ptdaemon/protocol.ts';
import { SteppedSignal } from '../../../src/instruments/signals.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { VirtualTime, wait } from '../../../src/transport/time.ts';
import { fuzz } from '../../support/fuzz.ts';
import { randomBelow } from '../../support/random.ts';
import { dc } from '../../support/signals.ts';

describe('answers of a PTDaemon', () => {
  it('to Identify tell driver, quantities, version and analyzer', () => {
    const line =
      'YokogawaWT310E,1000,1,1,1,1,0,1,1,version=1.9.2-e8c7a49a-20201208,OS=Windows 10,mode=power,1,1,1,0,0,' +
      'no_cal_date,YOKOGAWA;WT310E;C3XA04010E;F1.04';
    expect(parseIdentify(line)).toEqual({
      driver: 'YokogawaWT310E',
      interval_ms: 1000,
      watts: true,
      volts: true,
      amps: true,
      version: '1.9.2-e8c7a49a-20201208',
      mode: 'power',
      analyzer: { model: 'YOKOGAWA WT310E', serial: 'C3XA04010E', firmware: 'F1.04' },
    });
    expect(parseIdentify('Unknown command')).toBeNull();
  });

  it('to RR tell what is fixed, automatic or unknown', () => {
    expect(parseRanges('Ranges,0,20.0,1,300.0')).toEqual({ amps: 20, volts: 'auto' });
    expect(parseRanges('Ranges,-1,-1,-1,-1')).toEqual({ amps: null, volts: null });
    expect(parseRanges('Ranges,1')).toBeNull();
    expect(parseRanges('Ranges,a,b,c,d')).toBeNull();
  });

  it('to Uncertainty hold sums, or start values while there are none', () => {
    expect(parseUncertainty('Uncertainty,0.004572,0.003929,0.006985,916,0,916,0')).toEqual({
      mean: 0.004572,
      min: 0.003929,
      max: 0.006985,
      total: 916,
      valid: 916,
      unknown: 0,
    });
    expect(parseUncertainty('Uncertainty,-1.0,10000000.0,0.0,796,0,0,796')).toMatchObject({
      mean: null,
      min: null,
      max: null,
      unknown: 796,
    });
    expect(parseUncertainty('Uncertainty,')).toBeNull();
  });

  it('give the uncertainty of the newest samples, with what rounding hides', () => {
    const sums = (mean: number, valid: number, max = 0.02) => ({
      mean,
      min: 0.001,
      max,
      total: valid,
      valid,
      unknown: 0,
    });
    expect(newestUncertainty(null, sums(0.004, 1))).toBeCloseTo(0.004 + 0.5e-6, 9);
    expect(newestUncertainty(sums(0.004, 9), sums(0.005, 10))).toBeCloseTo(0.014 + 9.5e-6, 9);
    expect(newestUncertainty(sums(0.004, 9), sums(0.005, 10, 0.01))).toBe(0.01);
    expect(newestUncertainty(sums(0.004, 9), sums(0.004, 9))).toBeNull();
    expect(newestUncertainty(null, { ...sums(0.004, 3), unknown: 1 })).toBeNull();
  });

  it('of any bytes are survived', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `Uncertainty,${s},1,2,3,4,5,6`),
          fc.string().map((s) => `Ranges,${s}`),
        ),
        (line) => {
          parseIdentify(line);
          parseRanges(line);
          parseUncertainty(line);
        },
      ),
      fuzz(3000),
    );
  });

  it('of a million damaged lines are survived, and never give a sample without a number', () => {
    const lines = [
      'Time,01-05-2026 09:00:01.000,Watts,12.345678,Volts,230.100000,Amps,0.053654,PF,1.000000,Mark,run_testing',
      'Uncertainty,0.004572,0.003929,0.006985,916,0,916,0',
      'Ranges,0,20.0,1,300.0',
      'YokogawaWT310E,1000,1,1,1,1,0,1,1,version=1.9.2-e8c7a49a,OS=x,mode=power,1,1,1,0,0,no_cal_date,A;B;C;D',
    ].map((line) => Buffer.from(line, 'latin1'));
    const random = randomBelow(3);
    let samples = 0;
    for (let round = 0; round < 1_000_000; round++) {
      const damaged = Buffer.from(lines[round % lines.length]!);
      damaged[random(damaged.length)] = random(256);
      const line = damaged.toString('latin1', 0, round % 7 === 0 ? random(damaged.length) : damaged.length);
      const sample = parseSample(line.split(','));
      if (sample !== null && Number.isFinite(sample.time_ms)) samples++;
      const uncertainty = parseUncertainty(line);
      if (uncertainty) newestUncertainty(null, uncertainty);
      parseRanges(line);
      parseIdentify(line);
    }
    expect(samples).toBeGreaterThan(50_000);
  });

  it('of any bytes end every request with an answer or a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), async (chunks) => {
        const time = new VirtualTime();
        const [host, device] = memoryPair('fuzz');
        const client = new PtdClient(host, time);
        for (const chunk of chunks) await device.write(chunk);
        for (const request of [() => client.identify(), () => client.ranges(), () => client.lastSamples(5)]) {
          await time.run<unknown>(request()).catch((error) => expect(error.code).toMatch(/^device\./));
        }
      }),
      fuzz(200),
    );
  });
});

describe('the two runs of MLPerf Power', () => {
  const bench = () => {
    const time = new VirtualTime();
    const [host, device] = memoryPair('ptd');
    const levels = [0.4, 1.7, 0.9].map((current_A) => ({ current_A, duration_s: 7 }));
    const source = new SteppedSignal(levels, { voltage_V: 231.5 });
    const emulator = new PtdaemonEmulator(device, { source, time });
    return { time, emulator, client: new PtdClient(host, time) };
  };

  it('range first, then fix the ranges and measure, and restore what was set', async () => {
    const { time, emulator, client } = bench();
    const phases: string[] = [];
    const workload = async (phase: string) => {
      phases.push(phase);
      await wait(time, 30_050);
    };
    const result = await time.run(runWithRanging(client, { session: 's1', workload, time, where: 'ptd' }));
    expect(phases).toEqual(['ranging', 'testing']);
    expect(result).toMatchObject({ maxVolts: 231.5, maxAmps: 1.7 });
    expect(result.testing.length).toBe(30);
    expect(result.testing.every((sample) => sample.mark === 's1_testing')).toBe(true);
    expect(emulator.requests).toEqual([
      'RR',
      'SR,V,Auto',
      'SR,A,Auto',
      'Go,1000,0,s1_ranging',
      'Stop',
      'RL',
      'SR,V,231.5',
      `SR,A,${1.7 * 1.1}`,
      'Go,1000,0,s1_testing',
      'Stop',
      'RL',
      'SR,V,Auto',
      'SR,A,20',
    ]);
    expect(time.now_ns() / 1e9).toBeGreaterThan(80);
  });

  it('leave more room above the current of a device below 75 W, as the software of MLPerf does', async () => {
    const time = new VirtualTime();
    const [host, device] = memoryPair('ptd');
    const emulator = new PtdaemonEmulator(device, { source: dc(0.2, 231.5), time });
    const workload = () => wait(time, 5050);
    await time.run(runWithRanging(new PtdClient(host, time), { session: 's', workload, time, where: 'ptd' }));
    expect(emulator.requests).toContain(`SR,A,${0.2 * 3.3}`);
  });

  it('stop and restore when the workload fails', async () => {
    const { time, emulator, client } = bench();
    const workload = async () => {
      throw new Error('it broke');
    };
    await expect(time.run(runWithRanging(client, { session: 's', workload, time, where: 'ptd' }))).rejects.toThrow(
      'broke',
    );
    expect(emulator.requests.slice(-3)).toEqual(['Stop', 'SR,V,Auto', 'SR,A,20']);
  });

  it('refuse to guess ranges from no reading', async () => {
    const { time, client } = bench();
    const workload = () => wait(time, 100);
    await expect(
      time.run(runWithRanging(client, { session: 's', workload, time, where: 'ptd' })),
    ).rejects.toMatchObject({
      code: 'ranging.no-samples',
    });
  });
});
