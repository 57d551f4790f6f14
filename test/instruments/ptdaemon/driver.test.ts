import { describe, expect, it } from 'vitest';
import { Ptdaemon, PtdaemonEmulator, type PtdaemonSettings } from '../../../src/instruments/ptdaemon/index.ts';
import { SineSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { Collected } from '../../support/instrument.ts';
import { randomChunks } from '../../support/random.ts';
import { dc, staircase } from '../../support/signals.ts';

const steps = staircase([0.1, 0.5, 2.2, 0.9, 4, 1.1, 0.3], 1.7, 230);

const chunking = randomChunks(70);

function bench(source: SignalSource) {
  const time = new VirtualTime();
  const [host, device] = memoryPair('127.0.0.1:8888', chunking);
  const emulator = new PtdaemonEmulator(device, { source, time });
  const instrument = new Ptdaemon(host, { time });
  return { time, host, device, emulator, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

async function start(b: Bench, settings: PtdaemonSettings = {}): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure({ currentRange: 'auto', ...settings }));
  await b.time.run(b.instrument.start());
}

/** Every sample equals the mean over its own interval to the last printed digit. @returns samples */
function expectTruth(b: Bench, source: SignalSource): number {
  let n = 0;
  for (const block of b.collected.blocks()) {
    for (let i = 0; i < block.length; i++, n++) {
      const from_s = b.emulator.firstSample_s! + block.startTicks![i]! / 1000;
      const parts = 200;
      const [current, voltage] = [new Float64Array(parts), new Float64Array(parts)];
      const dt_s = (block.endTicks![i]! - block.startTicks![i]!) / 1000 / parts;
      source.fillMeans(from_s, dt_s, parts, current, voltage);
      const watts = current.reduce((sum, amps, k) => sum + amps * voltage[k]!, 0) / parts;
      expect(Math.abs(block.power![i]! - watts)).toBeLessThan(0.6e-6);
      expect(Math.abs(block.voltage![i]! - 230)).toBeLessThan(0.6e-6);
    }
  }
  return n;
}

describe('opening a PTDaemon', () => {
  it('reads who measures', async () => {
    const b = bench(dc(1, 230));
    expect(await b.time.run(b.instrument.open())).toMatchObject({
      family: 'ptdaemon',
      model: 'JOULEMARK WT310 emulation',
      serial: 'SIM-PTD-0001',
      simulated: true,
      firmware: 'F1.04',
      supplyRange_V: null,
      notices: [],
    });
  });

  it('tells of a version that nobody knows', async () => {
    const b = bench(dc(1, 230));
    b.emulator.inject('old-version');
    expect((await b.time.run(b.instrument.open())).notices).toEqual([expect.stringContaining('1.8.0')]);
  });

  it.each([
    ['wrong-device', 'device.wrong'],
    ['temperature', 'device.wrong'],
    ['stall', 'device.silent'],
    ['half-answer', 'device.silent'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(dc(1, 230));
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code, where: '127.0.0.1:8888' });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it.each([
    ['meter-busy', 'device.busy', 'Meter busy'],
    ['refuse-range', 'device.refused', 'Invalid range'],
  ])('says in its own words that it refuses: %s', async (fault, code, words) => {
    const b = bench(dc(1, 230));
    await b.time.run(b.instrument.open());
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.configure({ voltageRange: 300 }))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(words),
    });
  });

  it.each<PtdaemonSettings>([
    { rate_Hz: 3 },
    { rate_Hz: 1000 },
    { rampUpSamples: -1 },
    { mark: 'a,b' },
    { mark: 'a\r\nStop' },
    { voltageRange: -3 },
    { currentRange: Number.NaN },
    { logicInputs: ['trigger'] },
  ])('refuses %o', async (settings) => {
    const b = bench(dc(1, 230));
    await b.time.run(b.instrument.open());
    await expect(b.instrument.configure(settings)).rejects.toMatchObject({ code: 'instrument.setting' });
  });
});

describe('samples of a PTDaemon', () => {
  it.each([
    ['DC', dc(1.5, 230)],
    ['steps', steps],
    ['a sine', new SineSignal({ offset_A: 1, amplitude_A: 0.7, frequency_Hz: 0.3 }, { voltage_V: 230 })],
  ])('of %s equal the truth to the printed digit, each over its own interval', async (_name, source) => {
    const b = bench(source);
    await start(b, { mark: 'run_testing' });
    await b.time.advance(20_100);
    await b.time.run(b.instrument.stop());
    expect(expectTruth(b, source)).toBe(20);
    expect(b.collected.gaps()).toEqual([]);
    expect(b.collected.isComplete).toBe(true);
    expect(b.emulator.requests).toContain('Go,1000,0,run_testing');
  });

  it('come at another interval and after a ramp-up', async () => {
    const b = bench(steps);
    await start(b, { rate_Hz: 4, rampUpSamples: 3 });
    await b.time.advance(5000);
    await b.time.run(b.instrument.stop());
    expect(expectTruth(b, steps)).toBe(17);
  });

  it('carry an upper bound of the uncertainty that the daemon states', async () => {
    const b = bench(steps);
    await start(b);
    await b.time.advance(20_100);
    await b.time.run(b.instrument.stop());
    for (const block of b.collected.blocks()) {
      for (let i = 0; i < block.length; i++) {
        const truth = b.emulator.uncertaintyOf(block.power![i]!);
        expect(block.u_rel![i]!).toBeGreaterThan(truth - 1e-6);
        expect(block.u_rel![i]!).toBeLessThan(truth + 5e-5);
      }
    }
    expect(b.collected.events()).toMatchObject([{ code: 'info', text: expect.stringMatching(/^Uncertainty,0\.001/) }]);
  });

  it.each(['uncertainty-unknown', 'no-uncertainty'])('carry none on %s', async (fault) => {
    const b = bench(steps);
    b.emulator.inject(fault);
    await start(b);
    await b.time.advance(5000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.blocks().length).toBe(5);
    expect(b.collected.blocks().every((block) => block.u_rel === undefined)).toBe(true);
  });

  it.each(['invalid-sample', 'nan-sample', 'over-range'])('%s becomes a gap, never a sample', async (fault) => {
    const b = bench(dc(1.5, 230));
    await start(b);
    await b.time.advance(5500);
    b.emulator.inject(fault);
    await b.time.advance(5000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toEqual([{ kind: 'gap', stream: 'main', firstTick: 5000, count: 1, cause: 'invalid' }]);
    expect(expectTruth(b, dc(1.5, 230))).toBe(9);
  });

  it.each([1, 2])('%i samples that were never taken are a gap, and are told early', async (missed) => {
    const b = bench(steps);
    await start(b);
    await b.time.advance(5500);
    b.emulator.inject(`miss-samples=${missed}`);
    await b.time.advance(8000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toMatchObject([{ firstTick: 5000, count: missed, cause: 'dropped' }]);
    expect(expectTruth(b, steps)).toBe(13 - missed);
    expect(b.collected.events()[0]).toMatchObject({ code: 'loss-estimate' });
    expect(b.collected.events()[0]!.arrival_ns).toBeLessThan(7.3e9);
  });

  it('go on when the clock of the daemon is set back by an hour', async () => {
    const b = bench(steps);
    await start(b);
    await b.time.advance(5500);
    b.emulator.inject('clock-step=3600');
    await b.time.advance(5000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toEqual([]);
    expect(expectTruth(b, steps)).toBe(10);
    expect(b.collected.events()[0]).toMatchObject({ code: 'info', text: expect.stringContaining('-3600 s') });
  });

  it('a line of rubbish is told and skipped', async () => {
    const b = bench(steps);
    await start(b);
    b.emulator.inject('rubbish-line');
    await b.time.advance(5500);
    await b.time.run(b.instrument.stop());
    expect(expectTruth(b, steps)).toBe(5);
    expect(b.collected.events().map((event) => event.code)).toContain('error');
  });

  it('are caught up after a pause of the host', async () => {
    const b = bench(steps);
    await start(b);
    await b.time.advance(2500);
    const write = b.host.write.bind(b.host);
    b.host.write = (bytes) => new Promise((resolve) => b.time.after(6000, () => write(bytes).then(resolve)));
    await b.time.advance(500);
    b.host.write = write;
    await b.time.advance(12_000);
    expect(b.collected.error).toBeNull();
    expect(expectTruth(b, steps)).toBeGreaterThan(11);
    expect(b.collected.gaps()).toEqual([]);
  });

  it.each([
    ['stall', 'device.silent', 2],
    ['half-answer', 'device.silent', 2],
    ['wrong-count', 'device.silent', 2],
    ['unplug', 'device.vanished', 0.4],
    ['no-samples', 'device.stalled', 5],
  ])('%s ends the stream with a gap and an error', async (fault, code, limit_s) => {
    const b = bench(steps);
    await start(b);
    await b.time.advance(3050);
    const at_ns = b.time.now_ns();
    b.emulator.inject(fault);
    for (let k = 0; k < 60 && b.collected.error === null; k++) await b.time.advance(100);
    expect(b.collected.error).toMatchObject({ code });
    expect(b.time.now_ns() - at_ns).toBeLessThanOrEqual(limit_s * 1e9);
    expect(b.collected.gaps()).toMatchObject([
      { count: null, cause: code === 'device.vanished' ? 'unplugged' : 'unknown' },
    ]);
    await b.time.run(b.instrument.close());
  });
});

describe('the ranges of a PTDaemon', () => {
  it('are set as asked, and restored at close()', async () => {
    const b = bench(dc(1, 230));
    await start(b, { voltageRange: 150, currentRange: 2 });
    await b.time.run(b.instrument.close());
    expect(b.emulator.requests.filter((request) => request.startsWith('SR'))).toEqual([
      'SR,V,150',
      'SR,A,2',
      'SR,V,Auto',
      'SR,A,20',
    ]);
    expect(b.emulator.requests.at(-1)).toBe('SR,A,20');
    expect(b.emulator.requests).toContain('Stop');
  });
});
