import { afterEach, describe, expect, it } from 'vitest';
import type { EmulatorOptions } from '../../../src/instruments/emulator.ts';
import { Ppk2, Ppk2Emulator, type Ppk2Settings, ppk2Faults } from '../../../src/instruments/ppk2/index.ts';
import { ppk2Command, ppk2Current } from '../../../src/instruments/ppk2/protocol.ts';
import { ppk2DefaultModifiers } from '../../../src/instruments/ppk2/spec.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import { type Chunking, memoryPair } from '../../../src/transport/memory.ts';
import { openPty } from '../../../src/transport/pty.ts';
import { openSerial } from '../../../src/transport/serial.ts';
import { realTime, VirtualTime, wait } from '../../../src/transport/time.ts';
import { Collected } from '../../support/instrument.ts';
import { noPty, skipIfStarved } from '../../support/pty.ts';
import { randomChunks, randomFractions } from '../../support/random.ts';
import { dc, spikes, staircase } from '../../support/signals.ts';

function bench(
  source: SignalSource,
  options: Partial<EmulatorOptions> = {},
  chunking: Chunking = randomChunks(700, { merges: true }),
) {
  const time = new VirtualTime();
  const [host, device] = memoryPair('/dev/ttyTEST', chunking);
  const emulator = new Ppk2Emulator(device, { source, time, ...options });
  const instrument = new Ppk2(host, { time });
  return { time, host, device, emulator, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

async function startSource(b: Bench, settings: Partial<Ppk2Settings> = {}): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.instrument.configure({ mode: 'source', maxVoltage_V: 3.3, ...settings });
  await b.instrument.supply?.setVoltage(3);
  await b.instrument.supply?.on();
  await b.instrument.start();
}

/** Size of the step between neighbouring readings in the range that a current falls into. */
function resolution_A(range: number): number {
  return ppk2Current(5001, range, ppk2DefaultModifiers, 0) - ppk2Current(5000, range, ppk2DefaultModifiers, 0);
}

/** Every sample equals the truth within one step of its range. */
function expectTruth(b: Bench, source: SignalSource): void {
  const first_s = b.emulator.firstSample_s!;
  const [current, voltage] = [new Float64Array(1), new Float64Array(1)];
  let worst = 0;
  for (const block of b.collected.blocks()) {
    for (let i = 0; i < block.length; i++) {
      source.fillMeans(first_s + (block.firstTick + i) * 1e-5, 1e-5, 1, current, voltage);
      worst = Math.max(worst, Math.abs(block.current![i]! - current[0]!) / resolution_A(block.range![i]!));
    }
  }
  expect(worst).toBeLessThan(1);
}

describe('opening a PPK2', () => {
  it('reads who it is from metadata that comes in pieces', async () => {
    const b = bench(dc(1e-3), {}, () => 7);
    const identity = await b.time.run(b.instrument.open());
    expect(identity).toMatchObject({
      family: 'ppk2',
      serial: 'SIM-PPK2-0001',
      simulated: true,
      hardware: '9173',
      rates_Hz: [100_000],
      supplyRange_V: { min: 0.8, max: 5 },
      notices: [],
    });
    expect(b.instrument.describe()).toBe(identity);
  });

  it('believes the USB serial number before the metadata', async () => {
    const b = bench(dc(1e-3));
    const instrument = new Ppk2(b.host, { time: b.time, serial: 'D4F2A0B1C2D3' });
    expect(await b.time.run(instrument.open())).toMatchObject({ serial: 'D4F2A0B1C2D3', simulated: false });
  });

  it.each([
    ['uncalibrated', 'not calibrated'],
    ['nan', 'GI4'],
    ['missing-field', 'R2'],
    ['zero-gain', 'GS0'],
    ['unknown-hardware', 'unknown hardware 1234'],
  ])('tells of %s', async (fault, notice) => {
    const b = bench(dc(1e-3));
    b.emulator.inject(fault);
    expect((await b.time.run(b.instrument.open())).notices).toEqual([expect.stringContaining(notice)]);
  });

  it('survives stale bytes of an earlier measurement', async () => {
    const b = bench(dc(1e-3));
    b.emulator.inject('stale-bytes');
    expect((await b.time.run(b.instrument.open())).notices).toEqual([]);
  });

  it('stops a stream that another program left running', async () => {
    const b = bench(dc(1e-3));
    await b.host.write(Uint8Array.of(0x06));
    await b.time.advance(100);
    expect((await b.time.run(b.instrument.open())).serial).toBe('SIM-PPK2-0001');
  });

  it.each([
    ['stall', 'device.silent'],
    ['no-end', 'device.wrong'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(dc(1e-3));
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code, where: '/dev/ttyTEST' });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('says what it found when it is another device', async () => {
    const b = bench(dc(1e-3));
    b.emulator.inject('wrong-device');
    b.emulator.inject('wrong-device');
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({
      code: 'device.wrong',
      message: expect.stringContaining('Micro-terminal'),
    });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('says at once that it vanished', async () => {
    const b = bench(dc(1e-3));
    b.time.after(80, () => b.device.unplug());
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code: 'device.vanished' });
    expect(b.time.now_ns()).toBeLessThan(0.3e9);
  });

  it('resets user gains that are far off, as the app does', async () => {
    const b = bench(dc(2e-3));
    await b.host.write(Uint8Array.of(0x25, 2, 0x66, 0x66, 0xa6, 0x3f));
    const identity = await b.time.run(b.instrument.open());
    expect(identity.notices).toEqual([expect.stringContaining('user gains')]);
    await startAfterOpen(b);
    expectTruth(b, dc(2e-3));
  });

  async function startAfterOpen(b: Bench): Promise<void> {
    await b.instrument.configure({ mode: 'source', maxVoltage_V: 3.3 });
    await b.instrument.supply!.setVoltage(3);
    await b.instrument.supply!.on();
    await b.instrument.start();
    await b.time.advance(100);
    await b.time.run(b.instrument.stop());
  }
});

describe('the supply of a PPK2', () => {
  const open = async (settings: Partial<Ppk2Settings> = {}) => {
    const voltages: number[] = [];
    const b = bench(dc(1e-3), { onSupply: (voltage_V) => voltages.push(voltage_V) });
    await b.time.run(b.instrument.open());
    await b.instrument.configure({ mode: 'source', maxVoltage_V: 3.3, ...settings });
    return { b, voltages, supply: b.instrument.supply! };
  };

  it('has no default voltage', async () => {
    const { supply, voltages } = await open();
    await expect(supply.on()).rejects.toMatchObject({ code: 'supply.no-voltage' });
    expect(voltages.every((voltage) => voltage === 0)).toBe(true);
  });

  it.each([
    [3.4, { maxVoltage_V: 3.3 }],
    [3, {}],
    [5.5, { maxVoltage_V: 6 }],
    [0.5, { maxVoltage_V: 3.3 }],
    [Number.NaN, { maxVoltage_V: 3.3 }],
  ])('refuses %f V with %o', async (voltage_V, settings) => {
    const { supply, voltages } = await open({ maxVoltage_V: undefined, ...settings });
    await expect(supply.setVoltage(voltage_V)).rejects.toMatchObject({ code: 'supply.voltage' });
    expect(voltages.every((voltage) => voltage === 0)).toBe(true);
  });

  it('goes on with the set voltage, and off at close()', async () => {
    const { b, supply, voltages } = await open();
    await supply.setVoltage(2.7);
    await supply.on();
    await b.time.advance(1);
    expect(voltages.at(-1)).toBe(2.7);
    await b.time.run(b.instrument.close());
    expect(voltages.at(-1)).toBe(0);
  });

  it('goes off when the stream fails', async () => {
    const { b, supply, voltages } = await open();
    await supply.setVoltage(2.7);
    await supply.on();
    await b.instrument.start();
    await b.time.advance(100);
    b.emulator.inject('no-samples');
    await b.time.advance(1500);
    expect(b.collected.error).toMatchObject({ code: 'device.stalled' });
    expect(voltages.at(-1)).toBe(0);
  });

  it('goes off even if close() comes in the middle of a measurement', async () => {
    const { b, supply, voltages } = await open();
    await supply.setVoltage(2.7);
    await supply.on();
    await b.instrument.start();
    await b.time.advance(50);
    await b.time.run(b.instrument.close());
    expect(voltages.at(-1)).toBe(0);
    expect(b.collected.isComplete).toBe(true);
  });

  it('does not exist in ampere mode, where the voltage is what the user says or unknown', async () => {
    const { b } = await open({ mode: 'ampere' });
    expect(b.instrument.supply).toBeNull();
    expect(b.instrument.streams[0]).toMatchObject({ assumedVoltage_V: null });
    await b.instrument.configure({ mode: 'ampere', externalVoltage_V: 3.7 });
    expect(b.instrument.streams[0]).toMatchObject({ assumedVoltage_V: 3.7, quantities: ['current'] });
  });

  it('is set to what the metadata say in ampere mode: an earlier program may have left it elsewhere', async () => {
    // The difference of 2.2 V is worth 6 steps of the lowest range.
    const source = dc(20e-6);
    const b = bench(source);
    await b.host.write(ppk2Command.regulator(800));
    await b.time.run(b.instrument.open());
    await b.instrument.configure({ mode: 'ampere' });
    await b.instrument.start();
    await b.time.advance(100);
    await b.time.run(b.instrument.stop());
    expect(b.collected.blocks().length).toBeGreaterThan(0);
    expectTruth(b, source);
  });

  it('is the voltage that the stream assumes in source mode', async () => {
    const { b, supply } = await open();
    await supply.setVoltage(2.7);
    expect(b.instrument.streams[0]!.assumedVoltage_V).toBe(2.7);
  });
});

describe('settings that a PPK2 does not have', () => {
  it.each([
    { mode: 'volt' as never },
    { mode: 'source' as const, rate_Hz: 1000 },
    { mode: 'source' as const, logicInputs: Array.from({ length: 9 }, (_, k) => `x${k}`) },
  ])('%o are refused', async (settings) => {
    const b = bench(dc(1e-3));
    await b.time.run(b.instrument.open());
    await expect(b.instrument.configure(settings)).rejects.toMatchObject({ code: 'instrument.setting' });
  });

  it('calls out of order are refused', async () => {
    const b = bench(dc(1e-3));
    expect(() => b.instrument.describe()).toThrow(expect.objectContaining({ code: 'device.not-open' }));
    await expect(b.instrument.configure({ mode: 'source' })).rejects.toMatchObject({ code: 'device.not-open' });
    await expect(b.instrument.start()).rejects.toMatchObject({ code: 'device.not-open' });
  });
});

describe('samples of known waveforms', () => {
  const steps = [2e-6, 30e-6, 4e-4, 5e-3, 4e-2, 0.4, 0, 3e-3];

  it.each([
    ['DC', dc(3.3e-3)],
    ['a sine', new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 333 }, { voltage_V: 3 })],
    ['steps across every range', staircase(steps, 0.013)],
    ['spikes of one sample', spikes(1e-3, 0.2, 1e-5)],
  ])('%s equal the truth to the resolution of the range', async (_name, source) => {
    const b = bench(source);
    await startSource(b);
    await b.time.advance(500);
    await b.time.run(b.instrument.stop());
    expect(b.collected.isComplete).toBe(true);
    expect(b.collected.gaps()).toEqual([]);
    expect(b.collected.contiguousUpTo()).toBeGreaterThan(49_000);
    expectTruth(b, source);
  });

  it('use all five ranges', async () => {
    const b = bench(staircase(steps, 0.01));
    await startSource(b);
    await b.time.advance(200);
    const ranges = new Set(b.collected.blocks().flatMap((block) => [...block.range!]));
    expect([...ranges].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  it('show logic pins at the exact sample', async () => {
    const pulses = [
      { channel: 'trigger', start_s: 0.25037, period_s: 0.1, width_s: 0.00013 },
      { channel: 'busy', start_s: 0.21, period_s: 0.03, width_s: 0.01 },
    ];
    const b = bench(new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: 3, pulses }), {
      inputs: ['busy', 'none', 'trigger'],
    });
    await startSource(b, { logicInputs: ['busy', 'none', 'trigger'] });
    await b.time.advance(500);
    await b.time.run(b.instrument.stop());
    const first_s = b.emulator.firstSample_s!;
    for (const { channel, start_s, period_s, width_s } of pulses) {
      const got = b.collected.edges().filter((edge) => edge.channel === channel);
      const expected: [number, string][] = [];
      for (let k = 0; k < got.length; k++) {
        const time_s = start_s + Math.floor(k / 2) * period_s + (k % 2) * width_s;
        expected.push([Math.ceil((time_s - first_s) * 1e5 - 1e-6), k % 2 === 0 ? 'rise' : 'fall']);
      }
      expect(got.length).toBeGreaterThan(5);
      // An edge seen first in sample k lies in (k-1, k].
      expect(got.map((edge) => [edge.tick + 0.5, edge.polarity])).toEqual(expected);
      expect(got.map((edge) => edge.seq)).toEqual(got.map((_, k) => k));
      expect(got[0]!.u_ticks).toBeCloseTo(0.2887, 4);
    }
    const block = b.collected
      .blocks()
      .find(
        (candidate) =>
          candidate.firstTick <= expectedTick(first_s) &&
          candidate.firstTick + candidate.length > expectedTick(first_s),
      )!;
    const at = expectedTick(first_s) - block.firstTick;
    expect(block.logic![at]! & 4).toBe(4);
    if (at > 0) expect(block.logic![at - 1]! & 4).toBe(0);
  });

  const expectedTick = (first_s: number) => Math.ceil((0.25037 - first_s) * 1e5 - 1e-6);

  it('saturate with a flag and an overload event, and nothing is invented', async () => {
    const b = bench(dc(400));
    await startSource(b);
    await b.time.advance(50);
    await b.time.run(b.instrument.stop());
    expect(b.collected.blocks().every((block) => block.flags!.every((flag) => flag === 2))).toBe(true);
    expect(b.collected.events().map((event) => event.code)).toEqual(['overload']);
  });

  it('come with a filtered second stream on request, and stay unfiltered', async () => {
    const source = new SteppedSignal(
      [
        { current_A: 1e-3, duration_s: 0.002 },
        { current_A: 0.05, duration_s: 0.002 },
      ],
      { voltage_V: 3 },
    );
    const b = bench(source);
    await startSource(b, { spikeFilter: true });
    expect(b.instrument.streams.map((stream) => stream.id)).toEqual(['main', 'main-filtered']);
    await b.time.advance(100);
    await b.time.run(b.instrument.stop());
    expectTruth(b, source);
    const plain = [...b.collected.samples()];
    const filtered = [...b.collected.samples('current', 'main-filtered')];
    expect(filtered.map(([tick]) => tick)).toEqual(plain.map(([tick]) => tick));
    const differing = plain.filter(([, value], k) => Math.abs(value - filtered[k]![1]) > 1e-4);
    expect(differing.length).toBeGreaterThan(20);
  });

  it('are the same whatever the chunking', async () => {
    const run = async (chunking: Chunking) => {
      const b = bench(
        new SineSignal({ offset_A: 0.01, amplitude_A: 0.009, frequency_Hz: 50 }, { voltage_V: 3 }),
        {},
        chunking,
      );
      await startSource(b);
      await b.time.advance(100);
      await b.time.run(b.instrument.stop());
      return [...b.collected.samples()];
    };
    const whole = await run((available) => available);
    for (let seed = 2; seed < 6; seed++) expect(await run(randomChunks(seed))).toEqual(whole);
  });
});

describe('samples that are lost', () => {
  const ramp = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 7 }, { voltage_V: 3 });

  const runWith = async (fault: string, after_ms = 1500) => {
    const b = bench(ramp);
    await startSource(b);
    await b.time.advance(600);
    b.emulator.inject(fault);
    await b.time.advance(after_ms);
    await b.time.run(b.instrument.stop());
    return b;
  };
  const missing = (b: Bench) => b.collected.gaps().reduce((sum, gap) => sum + gap.count!, 0);

  it.each([1, 63])('%i: the counter tells, and every sample keeps its time', async (lost) => {
    const b = await runWith(`drop-samples=${lost}`);
    const { sample } = b.emulator.faultsDone[0]!;
    expect(b.collected.gaps()).toEqual([
      { kind: 'gap', stream: 'main', firstTick: sample, count: lost, cause: 'link-loss' },
    ]);
    expectTruth(b, ramp);
  });

  it.each([64, 128, 512, 6400])('%i: the counter is blind, the wall clock tells', async (lost) => {
    const b = await runWith(`drop-samples=${lost}`);
    const { sample } = b.emulator.faultsDone[0]!;
    expect(b.collected.gaps()).toMatchObject([{ count: lost, cause: 'dropped' }]);
    // The place is known to one chunk; here chunks are at most one block of 512 samples.
    expect(Math.abs(b.collected.gaps()[0]!.firstTick - sample)).toBeLessThanOrEqual(512);
    expect(b.collected.contiguousUpTo()).toBeGreaterThan(200_000);
    expectTimeKept(b, sample + lost + 512);
  });

  it.each([65, 6463])('%i: the counter tells the remainder, the wall clock the rest', async (lost) => {
    const b = await runWith(`drop-samples=${lost}`);
    expect(missing(b)).toBe(lost);
    expect(
      b.collected
        .gaps()
        .map((gap) => gap.cause)
        .sort(),
    ).toEqual(['dropped', 'link-loss']);
    expectTimeKept(b, b.emulator.faultsDone[0]!.sample + lost + 512);
  });

  it('as whole blocks are found each time, also many in a row', async () => {
    const b = bench(ramp);
    await startSource(b);
    await b.time.advance(600);
    for (let k = 0; k < 20; k++) {
      b.emulator.inject('drop-block');
      await b.time.advance(11);
    }
    await b.time.advance(2500);
    await b.time.run(b.instrument.stop());
    expect(missing(b)).toBe(20 * 512);
    expectTimeKept(b, b.emulator.faultsDone.at(-1)!.sample + 1024);
  });

  it('in none of these cases: a host that is late by 0.3 s and then catches up', async () => {
    const b = bench(ramp);
    await startSource(b);
    await b.time.advance(600);
    const emulated = b.device.write.bind(b.device);
    const queue: Uint8Array[] = [];
    b.device.write = async (bytes) => void queue.push(bytes.slice());
    await b.time.advance(300);
    b.device.write = emulated;
    for (const bytes of queue) await emulated(bytes);
    await b.time.advance(1500);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toEqual([]);
    expectTruth(b, ramp);
  });

  it('are not invented when deliveries become irregular for good: a note says that it cannot be told', async () => {
    const b = bench(ramp);
    await startSource(b);
    await b.time.advance(600);
    const late = randomFractions(7);
    let last = 0;
    const emulated = b.device.write.bind(b.device);
    b.device.write = async (bytes) => {
      const copy = bytes.slice();
      // 1 to 4 ms late, in order.
      last = Math.max(last, b.time.now_ns() / 1e6 + 1 + 3 * late());
      b.time.after(last - b.time.now_ns() / 1e6, () => emulated(copy));
    };
    await b.time.advance(4000);
    await b.time.run(b.instrument.stop());
    expect(missing(b)).toBeLessThanOrEqual(64);
    expect(b.collected.contiguousUpTo()).toBeGreaterThan(400_000);
  });

  /** From `tick` on, samples lie where the truth has them. */
  function expectTimeKept(b: Bench, tick: number): void {
    const first_s = b.emulator.firstSample_s!;
    const [current, voltage] = [new Float64Array(1), new Float64Array(1)];
    let checked = 0;
    for (const [at, value] of b.collected.samples()) {
      if (at < tick) continue;
      ramp.fillMeans(first_s + at * 1e-5, 1e-5, 1, current, voltage);
      if (Math.abs(value - current[0]!) > 1e-4) expect.fail(`sample ${at}: ${value} A, truth ${current[0]} A`);
      checked++;
    }
    expect(checked).toBeGreaterThan(50_000);
  }
});

describe('damage on the way', () => {
  const source = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 11 }, { voltage_V: 3 });
  const runWith = async (fault: string) => {
    const b = bench(source);
    await startSource(b);
    await b.time.advance(300);
    b.emulator.inject(fault);
    await b.time.advance(700);
    await b.time.run(b.instrument.stop());
    return b;
  };

  it.each([1, 2, 3, 7])('%i lost bytes cost the samples that they belonged to, and no more', async (lost) => {
    const b = await runWith(`drop-bytes=${lost}`);
    const { sample } = b.emulator.faultsDone[0]!;
    expect(b.collected.gaps()).toEqual([
      { kind: 'gap', stream: 'main', firstTick: sample, count: Math.ceil((lost + 1) / 4), cause: expect.any(String) },
    ]);
    expect(b.collected.events().map((event) => event.code)).toEqual(['resync']);
    expectTruth(b, source);
  });

  it('rubbish between samples costs nothing', async () => {
    const b = await runWith('insert-bytes=13');
    expect(b.collected.gaps()).toEqual([]);
    expectTruth(b, source);
  });

  it('a damaged word is a gap of one sample', async () => {
    const b = await runWith('corrupt-word');
    const { sample } = b.emulator.faultsDone[0]!;
    expect(b.collected.gaps()).toEqual([
      { kind: 'gap', stream: 'main', firstTick: sample, count: 1, cause: 'invalid' },
    ]);
    expectTruth(b, source);
  });

  it('a counter that jumps is a gap: nobody can tell it from lost samples', async () => {
    const b = await runWith('counter-jump=20');
    expect(b.collected.gaps()).toMatchObject([{ count: 20, cause: 'link-loss' }]);
  });

  it('a stall ends the stream within 2 s with a gap of unknown length and an error', async () => {
    const b = bench(source);
    await startSource(b);
    await b.time.advance(300);
    b.emulator.inject('stall');
    await b.time.advance(2000);
    expect(b.collected.error).toMatchObject({ code: 'device.stalled' });
    expect(b.collected.gaps()).toMatchObject([{ count: null, cause: 'unknown' }]);
  });

  it('an unplug in the middle of a sample ends the stream at once', async () => {
    const b = bench(source);
    await startSource(b);
    await b.time.advance(300);
    b.emulator.inject('unplug');
    await b.time.advance(20);
    expect(b.collected.error).toMatchObject({ code: 'device.vanished' });
    expect(b.collected.gaps()).toMatchObject([{ count: null, cause: 'unplugged' }]);
    // The gap follows the last sample that arrived; bytes under way are lost with the connection.
    expect(b.collected.gaps()[0]!.firstTick).toBe(b.collected.contiguousUpTo());
    expect(b.emulator.faultsDone[0]!.sample - b.collected.contiguousUpTo()).toBeLessThanOrEqual(512);
    expectTruth(b, source);
    await b.time.run(b.instrument.close());
  });
});

describe('the PPK2 emulator', () => {
  it('knows each fault of its list', () => {
    const b = bench(dc(1e-3));
    for (const fault of Object.keys(ppk2Faults)) b.emulator.inject(fault.endsWith('=') ? `${fault}3` : fault);
  });

  it('refuses a serial number that does not say SIM-, and unknown faults', () => {
    const [, device] = memoryPair('test');
    const make = (serial?: string) => new Ppk2Emulator(device, { source: dc(0), time: new VirtualTime(), serial });
    expect(() => make('1234')).toThrow(expect.objectContaining({ code: 'emulator.serial' }));
    expect(() => make().inject('explode')).toThrow(expect.objectContaining({ code: 'emulator.fault' }));
    expect(() => make().inject('drop-samples=x')).toThrow(expect.objectContaining({ code: 'emulator.fault' }));
  });

  it('stands a reset at any time', async () => {
    const b = bench(dc(1e-3));
    await startSource(b);
    await b.time.advance(50);
    await b.host.write(Uint8Array.of(0x20));
    await b.time.advance(50);
    expect((await b.time.run(new Ppk2(b.host, { time: b.time }).open())).simulated).toBe(true);
  });
});

describe.skipIf(noPty !== null)(`a PPK2 on a PTY${noPty ? ` (skipped: ${noPty})` : ''}`, () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  const start = async (source: SignalSource) => {
    const pty = await openPty();
    const emulator = new Ppk2Emulator(pty.device, { source, time: realTime });
    const instrument = new Ppk2(await openSerial(pty.path, { baudRate: 115_200 }));
    const collected = new Collected(instrument);
    closing.push(
      () => instrument.close(),
      () => pty.device.close(),
    );
    await instrument.open();
    await instrument.configure({ mode: 'source', maxVoltage_V: 3.3 });
    await instrument.supply!.setVoltage(3);
    await instrument.supply!.on();
    await instrument.start();
    return { pty, emulator, instrument, collected };
  };

  const measure = async (source: SignalSource, duration_ms: number) => {
    const started = await start(source);
    await wait(realTime, duration_ms);
    await started.instrument.stop();
    return started;
  };

  it('delivers every sample in real time through serialport', async (context) => {
    const source = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 7 }, { voltage_V: 3 });
    const { emulator, collected } = await measure(source, 1000).catch((error) => skipIfStarved(context, error));
    if (collected.error) skipIfStarved(context, collected.error);
    if (emulator.droppedBlocks > 0) context.skip('this machine is too busy to read a PTY in real time');
    const first_s = emulator.firstSample_s!;
    const [current, voltage] = [new Float64Array(1), new Float64Array(1)];
    for (const [tick, value] of collected.samples()) {
      source.fillMeans(first_s + tick * 1e-5, 1e-5, 1, current, voltage);
      if (Math.abs(value - current[0]!) > 1e-4) expect.fail(`sample ${tick}: ${value} A, truth ${current[0]} A`);
    }
    expect(collected.gaps()).toEqual([]);
    expect(collected.contiguousUpTo()).toBeGreaterThan(50_000);
    expect(collected.isComplete).toBe(true);
  });

  it('ends with a typed error when it is unplugged in the middle', async (context) => {
    const { pty, collected } = await start(dc(1e-3)).catch((error) => skipIfStarved(context, error));
    await wait(realTime, 200);
    await pty.device.close();
    await wait(realTime, 1500);
    if ((collected.error as { code: string }).code !== 'device.vanished') skipIfStarved(context, collected.error);
    expect(collected.gaps().at(-1)).toMatchObject({ count: null, cause: 'unplugged' });
  });
});
