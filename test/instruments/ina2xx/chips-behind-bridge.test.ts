import { describe, expect, it } from 'vitest';
import type { BridgeEmulatorOptions } from '../../../src/instruments/ina2xx/bridge-emulator.ts';
import { Ina226Bridge, Ina226BridgeEmulator } from '../../../src/instruments/ina226/index.ts';
import { Ina228Bridge, Ina228BridgeEmulator } from '../../../src/instruments/ina228/index.ts';
import type { PowerInstrument } from '../../../src/instruments/power-instrument.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import type { ByteStream } from '../../../src/transport/byte-stream.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { type TimeSource, VirtualTime } from '../../../src/transport/time.ts';
import { Collected } from '../../support/instrument.ts';

const dc = (current_A: number) => new SteppedSignal([{ current_A, duration_s: 1 }], { voltage_V: 3.3 });
interface Settings {
  chips: { address: number; shunt_ohm: number; rail?: string }[];
  rate_Hz?: number;
  logicInputs?: string[];
}

const one: Settings = { chips: [{ address: 0x40, shunt_ohm: 0.1 }] };

/** What differs between the chips. Steps are those of 0.1 ohm. */
const types = [
  {
    name: 'INA226',
    emulate: (port: ByteStream, options: BridgeEmulatorOptions) => new Ina226BridgeEmulator(port, options),
    drive: (port: ByteStream, time: TimeSource): PowerInstrument<never> => new Ina226Bridge(port, { time }),
    step_A: 25e-6,
    step_V: 1.25e-3,
  },
  {
    name: 'INA228',
    emulate: (port: ByteStream, options: BridgeEmulatorOptions) => new Ina228BridgeEmulator(port, options),
    drive: (port: ByteStream, time: TimeSource): PowerInstrument<never> => new Ina228Bridge(port, { time }),
    step_A: 3.125e-6,
    step_V: 195.3125e-6,
  },
];
type Type = (typeof types)[number];

function benchOf(type: Type, source: SignalSource, options: Partial<BridgeEmulatorOptions> = {}) {
  const time = new VirtualTime();
  let turn = 0;
  const [host, device] = memoryPair('/dev/ttyTEST', () => [1, 7, 0, 40, 300][turn++ % 5]!);
  const emulator = type.emulate(device, { source, time, ...options });
  const instrument = type.drive(host, time);
  return { time, host, emulator, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof benchOf>;

async function start(b: Bench, settings = one): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure(settings as never));
  await b.time.run(b.instrument.start());
}

async function measure(b: Bench, duration_ms: number, settings = one): Promise<void> {
  await start(b, settings);
  await b.time.advance(duration_ms);
  await b.time.run(b.instrument.stop());
}

/** Start and end (on the source's own time), current and voltage of each sample. */
function samples(b: Bench, stream = 'main') {
  const at = (tick: number) => (tick - b.emulator.bootTicks) / 1e6;
  return b.collected.blocks(stream).flatMap((block) =>
    Array.from({ length: block.length }, (_, k) => ({
      start_s: at(block.startTicks![k]!),
      end_s: at(block.endTicks![k]!),
      current: block.current![k]!,
      voltage: block.voltage![k]!,
    })),
  );
}

describe.each(types)('$name chips behind a bridge:', (type) => {
  const bench = (source: SignalSource, options: Partial<BridgeEmulatorOptions> = {}) => benchOf(type, source, options);

  describe('opening an INB1 bridge', () => {
    it('asks who it is', async () => {
      const b = bench(dc(0.1));
      expect(await b.time.run(b.instrument.open())).toMatchObject({
        family: type.name.toLowerCase(),
        serial: 'SIM-INB1-0001',
        firmware: 'emulator',
        simulated: true,
      });
      expect(b.instrument.clocks).toMatchObject([
        { id: 'instrument', tickHz: 1e6, kind: 'instrument', epoch_ns: null },
      ]);
    });

    it('ends a session that another program left running', async () => {
      const b = bench(dc(0.1));
      await b.host.write(Buffer.from('bin\nstart\n'));
      await b.time.advance(100);
      expect((await b.time.run(b.instrument.open())).simulated).toBe(true);
      await b.time.run(b.instrument.configure(one as never));
      await b.time.run(b.instrument.start());
      await b.time.advance(200);
      expect(b.collected.gaps()).toEqual([]);
      expect(samples(b).length).toBeGreaterThan(90);
    });

    it.each([
      ['wrong-device', 'device.wrong'],
      ['stall', 'device.silent'],
      ['new-version', 'device.firmware'],
      ['no-chip', 'device.missing'],
    ])('says so within 2 s on %s', async (fault, code) => {
      const b = bench(dc(0.1));
      b.emulator.inject(fault);
      await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code, where: '/dev/ttyTEST' });
      expect(b.time.now_ns()).toBeLessThan(2e9);
    });

    it('says that the bridge refuses a configuration, or has no such chip', async () => {
      const b = bench(dc(0.1));
      await b.time.run(b.instrument.open());
      await expect(
        b.time.run(b.instrument.configure({ chips: [{ address: 0x41, shunt_ohm: 0.1 }] } as never)),
      ).rejects.toMatchObject({ code: 'instrument.settings' });
      b.emulator.inject('refuse-cfg');
      await expect(b.time.run(b.instrument.configure(one as never))).rejects.toMatchObject({ code: 'device.refused' });
    });
  });

  describe('samples behind a bridge', () => {
    it.each([10, 500, 3000])('carry the intervals of the conversions to the microsecond at %i Hz', async (rate_Hz) => {
      const b = bench(dc(0.1234), { slow_rel: 0.04 });
      await measure(b, 1000, { ...one, rate_Hz });
      const got = samples(b);
      expect(got.length).toBeGreaterThanOrEqual(0.95 * rate_Hz);
      expect(b.collected.gaps()).toEqual([]);
      const period_s = (got.at(-1)!.end_s - got[0]!.end_s) / (got.length - 1);
      expect(1 / period_s).toBeGreaterThanOrEqual(0.96 * rate_Hz);
      for (const [k, { start_s, end_s, current, voltage }] of got.entries()) {
        expect(Math.abs(end_s - b.emulator.firstSample_s! - (k + 1) * period_s)).toBeLessThan(2e-6);
        if (k > 0) expect(start_s).toBe(got[k - 1]!.end_s);
        expect(Math.abs(current - 0.1234)).toBeLessThan(0.52 * type.step_A);
        expect(Math.abs(voltage - 3.3)).toBeLessThan(0.52 * type.step_V);
      }
    });

    it('follow a sine', async () => {
      const source = new SineSignal({ offset_A: 0.2, amplitude_A: 0.15, frequency_Hz: 7 }, { voltage_V: 3.3 });
      const b = bench(source, { slow_rel: 0 });
      await measure(b, 1000);
      const [truth, voltage] = [new Float64Array(1), new Float64Array(1)];
      for (const { start_s, end_s, current } of samples(b).slice(1)) {
        source.fillMeans(start_s, end_s - start_s, 1, truth, voltage);
        // Shunt and bus are converted in turn: the shunt only sees parts of the interval.
        expect(Math.abs(current - truth[0]!)).toBeLessThan(0.15 * 2 * Math.PI * 7 * (end_s - start_s));
      }
    });

    it('come with edges on the same clock, to the microsecond', async () => {
      const pulses = [{ channel: 'trigger', start_s: 0.3, period_s: 0.1, width_s: 0.00123 }];
      const source = new SteppedSignal([{ current_A: 0.1, duration_s: 1 }], { voltage_V: 3, pulses });
      const b = bench(source, { inputs: ['trigger'] });
      await measure(b, 1000, { ...one, logicInputs: ['trigger'] });
      const edges = b.collected.edges();
      expect(edges.length).toBeGreaterThan(12);
      for (const [k, edge] of edges.entries()) {
        const time_s = (edge.tick - b.emulator.bootTicks) / 1e6;
        const first = Math.ceil((b.emulator.firstSample_s! - 0.3) / 0.1);
        const truth_s = 0.3 + (Math.max(0, first) + Math.floor(k / 2)) * 0.1 + (k % 2) * 0.00123;
        expect(Math.abs(time_s - truth_s)).toBeLessThan(1.1e-6);
        expect(edge).toMatchObject({ clock: 'instrument', seq: k, polarity: k % 2 === 0 ? 'rise' : 'fall' });
      }
    });

    it('of several chips are several rails', async () => {
      const b = bench(dc(0.2), { shunts_ohm: [0.1, 0.02] });
      await measure(b, 500, {
        chips: [
          { address: 0x41, shunt_ohm: 0.02, rail: 'io' },
          { address: 0x40, shunt_ohm: 0.1, rail: 'core' },
        ],
      });
      for (const [rail, shunt_ohm] of [
        ['io', 0.02],
        ['core', 0.1],
      ] as const) {
        expect(samples(b, rail).length).toBeGreaterThan(200);
        for (const { current } of samples(b, rail))
          expect(Math.abs(current - 0.2)).toBeLessThan((0.052 * type.step_A) / shunt_ohm);
      }
    });

    it('saturate with a flag and one event', async () => {
      const b = bench(dc(2));
      await measure(b, 200);
      expect(b.collected.blocks().every((block) => block.flags!.every((flag) => flag === 2))).toBe(true);
      expect(b.collected.events().map(({ code }) => code)).toEqual(['overload']);
    });
  });

  describe('what goes wrong with a bridge', () => {
    const runWith = async (fault: string) => {
      const b = bench(dc(0.1));
      await start(b);
      await b.time.advance(300);
      b.emulator.inject(fault);
      await b.time.advance(500);
      await b.time.run(b.instrument.stop());
      return b;
    };

    it.each([
      ['lose-frames=1', 16, 'link-loss'],
      ['lose-frames=5', 80, 'link-loss'],
      ['overrun=7', 7, 'dropped'],
      ['damage-frame', 16, 'link-loss'],
    ])('%s is a gap of %i, and time is kept', async (fault, count, cause) => {
      const b = await runWith(fault);
      expect(b.collected.gaps()).toMatchObject([{ count, cause }]);
      const got = samples(b);
      const period_s = (got[1]!.end_s - got[0]!.end_s) * 1;
      for (const { end_s } of got) {
        const k = (end_s - b.emulator.firstSample_s!) / period_s;
        expect(Math.abs(k - Math.round(k))).toBeLessThan(0.5);
      }
      const covered = got.reduce((sum, { start_s, end_s }) => sum + end_s - start_s, 0);
      expect((got.at(-1)!.end_s - got[0]!.start_s - covered) / period_s).toBeCloseTo(count, 0);
    });

    it('rubbish between frames costs nothing', async () => {
      const b = await runWith('rubbish');
      expect(b.collected.gaps()).toEqual([]);
    });

    it('a lost edge shows in the numbers of the edges', async () => {
      const pulses = [{ channel: 'trigger', start_s: 0.3, period_s: 0.1, width_s: 0.01 }];
      const source = new SteppedSignal([{ current_A: 0.1, duration_s: 1 }], { voltage_V: 3, pulses });
      const b = bench(source, { inputs: ['trigger'] });
      await start(b, { ...one, logicInputs: ['trigger'] });
      b.emulator.inject('lose-edge');
      await b.time.advance(800);
      expect(b.collected.edges()[0]).toMatchObject({ seq: 1, polarity: 'fall' });
    });

    it.each([
      ['stall', 'device.stalled', 'unknown'],
      ['no-samples', 'device.stalled', 'unknown'],
      ['unplug', 'device.vanished', 'unplugged'],
    ])('%s ends the stream within 2 s with a gap of unknown length and an error', async (fault, code, cause) => {
      const b = bench(dc(0.1));
      await start(b);
      await b.time.advance(300);
      b.emulator.inject(fault);
      await b.time.advance(2000);
      expect(b.collected.error).toMatchObject({ code });
      expect(b.collected.gaps().at(-1)).toMatchObject({ count: null, cause });
      await b.time.run(b.instrument.close());
    });
  });
});

describe('a bridge with other chips', () => {
  it('is refused by what it says of them', async () => {
    for (const [at, wanted] of [types[0]!, types[1]!].entries()) {
      const time = new VirtualTime();
      const [host, device] = memoryPair('/dev/ttyTEST');
      types[1 - at]!.emulate(device, { source: dc(0.1), time });
      await expect(time.run(wanted.drive(host, time).open())).rejects.toMatchObject({
        code: 'device.wrong',
        message: expect.stringContaining(wanted.name),
      });
    }
  });
});

describe('an INA228 behind a bridge', () => {
  const chips = [{ address: 0x40, shunt_ohm: 0.1, shuntRange_mV: 40.96 }];

  it('measures in its finer range', async () => {
    const b = benchOf(types[1]!, dc(0.1234));
    await measure(b, 300, { chips });
    const [block] = b.collected.blocks();
    expect(block!.range!.every((range) => range === 1)).toBe(true);
    for (const { current } of samples(b)) expect(Math.abs(current - 0.1234)).toBeLessThan(0.52 * 0.78125e-6);
  });

  it('has negative currents of more than 16 bits', async () => {
    const b = benchOf(types[1]!, dc(-1.2));
    await measure(b, 300);
    expect(samples(b).length).toBeGreaterThan(100);
    for (const { current } of samples(b)) expect(Math.abs(current + 1.2)).toBeLessThan(1.7e-6);
  });

  it('has no accumulators there', async () => {
    const b = benchOf(types[1]!, dc(0.1));
    await b.time.run(b.instrument.open());
    await expect(b.time.run(b.instrument.configure({ chips, output: 'accumulators' } as never))).rejects.toMatchObject({
      code: 'instrument.settings',
      where: 'instrument.settings.output',
    });
  });
});
