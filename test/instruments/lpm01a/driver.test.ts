import { afterEach, describe, expect, it } from 'vitest';
import {
  Lpm01a,
  Lpm01aEmulator,
  type Lpm01aEmulatorOptions,
  type Lpm01aSettings,
  lpm01aFaults,
} from '../../../src/instruments/lpm01a/index.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import { type Chunking, memoryPair } from '../../../src/transport/memory.ts';
import { openPty } from '../../../src/transport/pty.ts';
import { openSerial } from '../../../src/transport/serial.ts';
import { realTime, VirtualTime, wait } from '../../../src/transport/time.ts';
import { Collected } from '../../support/instrument.ts';
import { noPty, skipIfStarved } from '../../support/pty.ts';
import { randomChunks } from '../../support/random.ts';
import { dc, staircase } from '../../support/signals.ts';

const VOLTAGE_V = 3;
const sine = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 3 }, { voltage_V: VOLTAGE_V });

function bench(
  source: SignalSource,
  options: Partial<Lpm01aEmulatorOptions> = {},
  chunking: Chunking = randomChunks(300, { merges: true }),
) {
  const time = new VirtualTime();
  const [host, device] = memoryPair('/dev/ttyTEST', chunking);
  const voltages: number[] = [];
  const emulator = new Lpm01aEmulator(device, {
    source,
    time,
    onSupply: (voltage_V) => voltages.push(voltage_V),
    ...options,
  });
  const instrument = new Lpm01a(host, { time });
  return { time, host, device, emulator, instrument, voltages, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

async function start(b: Bench, settings: Lpm01aSettings = {}): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure({ maxVoltage_V: 3.3, ...settings }));
  await b.time.run(b.instrument.supply!.setVoltage(VOLTAGE_V));
  await b.time.run(b.instrument.supply!.on());
  await b.time.run(b.instrument.start());
}

async function measure(b: Bench, settings: Lpm01aSettings, duration_ms: number): Promise<void> {
  await start(b, settings);
  await b.time.advance(duration_ms);
  await b.time.run(b.instrument.stop());
}

/** Largest error of a sample against the truth, as a fraction of the reading. */
function worstError(
  b: Bench,
  source: SignalSource,
  rate_Hz: number,
  output: 'current' | 'energy',
  fromTick = 0,
): number {
  const first_s = b.emulator.firstSample_s!;
  const parts = 100;
  const [current, voltage] = [new Float64Array(parts), new Float64Array(parts)];
  let worst = 0;
  for (const [tick, value] of b.collected.samples(output)) {
    if (tick < fromTick) continue;
    source.fillMeans(first_s + tick / rate_Hz, 1 / rate_Hz / parts, parts, current, voltage);
    const mean_A = current.reduce((sum, x) => sum + x, 0) / parts;
    const truth = output === 'energy' ? (mean_A * VOLTAGE_V) / rate_Hz : mean_A;
    worst = Math.max(worst, Math.abs(value / truth - 1));
  }
  return worst;
}

/** 4 digits; 12 bits with steps of 16: half a step of the smallest mantissa. */
const RESOLUTION = { ascii_dec: 0.5 / 1000, bin_hexa: 0.5 / 256 } as const;

describe('opening an LPM01A', () => {
  it('reads who it is', async () => {
    const b = bench(dc(1e-3), {}, () => 3);
    const identity = await b.time.run(b.instrument.open());
    expect(identity).toMatchObject({
      family: 'lpm01a',
      serial: 'SIM-LPM01A-0001',
      simulated: true,
      firmware: '1.0.6',
      supplyRange_V: { min: 1.8, max: 3.3 },
      notices: [],
    });
    expect(identity.rates_Hz).toContain(100_000);
  });

  it.each([{ manualSpelling: true }, { manualSpelling: false }])('works with both spellings: %o', async (options) => {
    const b = bench(sine, options);
    await measure(b, { currentThreshold_A: 1e-3 }, 2500);
    expect(b.collected.contiguousUpTo()).toBeGreaterThan(2490);
    expect(b.collected.gaps()).toEqual([]);
  });

  it('tells of a latched error and of newer firmware', async () => {
    for (const manualSpelling of [true, false]) {
      const b = bench(dc(1e-3), { firmware: '1.2.0', manualSpelling });
      b.emulator.inject('status-error');
      expect((await b.time.run(b.instrument.open())).notices).toEqual([
        expect.stringContaining('newer than 1.0.6'),
        expect.stringContaining('buffer full'),
      ]);
    }
  });

  it('refuses firmware that cannot keep its supply off', async () => {
    for (const firmware of ['1.0.0', '1.0.5']) {
      const b = bench(dc(1e-3), { firmware });
      await b.time.run(b.instrument.open());
      await expect(b.time.run(b.instrument.configure({}))).rejects.toMatchObject({
        code: 'device.firmware',
        remedy: expect.stringContaining('1.0.6'),
      });
      expect(b.voltages).toEqual([]);
    }
  });

  it('ends an acquisition that another program left running', async () => {
    const b = bench(dc(1e-3));
    for (const line of ['htc', 'acqtime inf', 'freq 5k', 'start']) await b.host.write(Buffer.from(`${line}\r\n`));
    await b.time.advance(300);
    expect((await b.time.run(b.instrument.open())).serial).toBe('SIM-LPM01A-0001');
  });

  it.each([
    ['stall', 'device.silent'],
    ['wrong-device', 'device.wrong'],
    ['half-answer', 'device.wrong'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(dc(1e-3));
    b.emulator.inject(fault);
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code, where: '/dev/ttyTEST' });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('gives up within 2 s on a device that does not stop talking', async () => {
    const b = bench(dc(1e-3));
    const chatter = () => {
      b.device.write(Buffer.from('boot: waiting\r\n'));
      b.time.after(20, chatter);
    };
    chatter();
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code: 'device.wrong' });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('says at once that it vanished', async () => {
    const b = bench(dc(1e-3));
    b.emulator.inject('stall');
    b.time.after(300, () => b.device.unplug());
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code: 'device.vanished' });
    expect(b.time.now_ns()).toBeLessThan(0.5e9);
  });
});

describe('the supply of an LPM01A', () => {
  const open = async () => {
    const b = bench(dc(1e-3));
    await b.time.run(b.instrument.open());
    await b.time.run(b.instrument.configure({ maxVoltage_V: 3.1 }));
    return b;
  };

  it('has no default voltage: a start without one leaves the device off', async () => {
    const b = await open();
    await expect(b.time.run(b.instrument.supply!.on())).rejects.toMatchObject({ code: 'supply.no-voltage' });
    await b.time.run(b.instrument.start());
    await b.time.advance(100);
    expect(b.voltages.every((voltage) => voltage === 0)).toBe(true);
  });

  it.each([3.2, 1.7, 5, Number.NaN])('refuses %f V', async (voltage_V) => {
    const b = await open();
    await expect(b.time.run(b.instrument.supply!.setVoltage(voltage_V))).rejects.toMatchObject({
      code: 'supply.voltage',
    });
  });

  it('goes off at close(), and the host gives back control', async () => {
    const b = await open();
    await b.time.run(b.instrument.supply!.setVoltage(3));
    await b.time.run(b.instrument.supply!.on());
    expect(b.voltages.at(-1)).toBe(3);
    await b.time.run(b.instrument.start());
    await b.time.advance(50);
    await b.time.run(b.instrument.close());
    expect(b.voltages.at(-1)).toBe(0);
    expect(b.collected.isComplete).toBe(true);
  });

  it('goes off when the stream fails', async () => {
    const b = bench(sine);
    await start(b);
    b.emulator.inject('no-samples');
    await b.time.advance(3000);
    expect(b.collected.error).toMatchObject({ code: 'device.stalled' });
    expect(b.voltages.at(-1)).toBe(0);
  });

  it('can go off between samples, as the MLCommons runner does', async () => {
    for (const format of ['ascii_dec', 'bin_hexa'] as const) {
      const b = bench(sine);
      await start(b, { format });
      await b.time.advance(100);
      await b.time.run(b.instrument.supply!.off());
      await b.time.advance(100);
      await b.time.run(b.instrument.stop());
      expect(b.collected.gaps()).toEqual([]);
      expect(b.collected.events().map((event) => event.code)).toContain('supply');
      expect([...b.collected.samples('energy')].at(-1)![1]).toBe(0);
    }
  });
});

describe('settings that an LPM01A does not have', () => {
  it.each([
    { rate_Hz: 3000 },
    { rate_Hz: 10_000, format: 'ascii_dec' as const },
    { functionMode: 'high' as const, output: 'energy' as const },
    { logicInputs: ['a', 'b'] },
  ])('%o are refused', async (settings) => {
    const b = bench(dc(1e-3));
    await b.time.run(b.instrument.open());
    await expect(b.time.run(b.instrument.configure(settings))).rejects.toMatchObject({ code: 'instrument.setting' });
  });
});

describe('samples of known waveforms', () => {
  const steps = staircase([1e-6, 20e-6, 300e-6, 4e-3, 45e-3], 0.05);
  const spikes = new SteppedSignal(
    [
      { current_A: 1e-3, duration_s: 0.099 },
      { current_A: 0.04, duration_s: 0.001 },
    ],
    { voltage_V: VOLTAGE_V },
  );

  for (const format of ['ascii_dec', 'bin_hexa'] as const) {
    for (const output of ['current', 'energy'] as const) {
      it.each([
        ['DC', dc(3.3e-3)],
        ['a sine', sine],
        ['steps', steps],
        ['spikes of one sample', spikes],
      ])(`in ${format}, ${output}: %s equal the truth to the digits of the format`, async (_name, source) => {
        const b = bench(source);
        await measure(b, { format, output }, 2100);
        expect(b.collected.isComplete).toBe(true);
        expect(b.collected.gaps()).toEqual([]);
        expect(b.collected.contiguousUpTo()).toBeGreaterThan(2090);
        expect(worstError(b, source, 1000, output)).toBeLessThan(RESOLUTION[format] * 1.001);
      });
    }
  }

  it.each([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000])(
    'come at %i Hz',
    async (rate_Hz) => {
      const b = bench(sine);
      const duration_s = Math.min(20, Math.max(0.2, 50 / rate_Hz));
      await measure(b, { rate_Hz, output: 'current' }, duration_s * 1000);
      expect(b.collected.gaps()).toEqual([]);
      expect(b.collected.contiguousUpTo()).toBeGreaterThanOrEqual(Math.floor(duration_s * rate_Hz * 0.9));
      expect(b.instrument.clocks[0]!.tickHz).toBe(rate_Hz);
      expect(worstError(b, sine, rate_Hz, 'current')).toBeLessThan(
        RESOLUTION[rate_Hz > 5000 ? 'bin_hexa' : 'ascii_dec'] * 1.001,
      );
    },
  );

  it('tell what they are: joules need no voltage, amperes assume the set one', async () => {
    const b = bench(sine);
    await start(b, { output: 'current', acquisition: 'stat' });
    expect(b.instrument.streams[0]).toMatchObject({
      quantities: ['current'],
      precision: 'f64',
      assumedVoltage_V: 3,
      ranges: [{ index: 1, name: 'static', fullScale_A: 0.2 }],
    });
    const other = bench(sine);
    await start(other);
    expect(other.instrument.streams[0]).toMatchObject({ quantities: ['energy'], assumedVoltage_V: null });
  });

  it('are the same whatever the chunking', async () => {
    for (const format of ['ascii_dec', 'bin_hexa'] as const) {
      const run = async (chunking: Chunking) => {
        const b = bench(sine, {}, chunking);
        await measure(b, { format }, 1500);
        return [...b.collected.samples('energy')];
      };
      const whole = await run((available) => available);
      for (let seed = 2; seed < 5; seed++) expect(await run(randomChunks(seed))).toEqual(whole);
    }
  });
});

describe('events on D7', () => {
  const pulses = [{ channel: 'trigger', start_s: 0.9003, period_s: 0.25, width_s: 0.1 }];
  const source = new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: VOLTAGE_V, pulses });

  it.each(['ascii_dec', 'bin_hexa'] as const)('stand at their sample in %s', async (format) => {
    const b = bench(source, { inputs: ['trigger'] });
    await measure(b, { format, logicInputs: ['trigger'] }, 3000);
    const first_s = b.emulator.firstSample_s!;
    const edges = b.collected.edges();
    expect(edges.length).toBeGreaterThan(6);
    for (const [k, edge] of edges.entries()) {
      const falls = Array.from({ length: 40 }, (_, n) => 0.9003 + 0.25 * n + 0.1).filter((time_s) => time_s >= first_s);
      expect(edge.tick).toBe(Math.floor((falls[k]! - first_s) * 1000 + 1e-6));
      expect(edge).toMatchObject({ channel: 'trigger', polarity: 'fall', seq: k, clock: 'instrument' });
      expect(edge.u_ticks).toBeCloseTo(0.577, 3);
    }
  });

  it('that are lost show in the numbers', async () => {
    const b = bench(source, { inputs: ['trigger'] });
    await start(b);
    await b.time.advance(1000);
    b.emulator.inject('lost-event');
    await b.time.advance(1000);
    const seqs = b.collected.edges().map((edge) => edge.seq);
    expect(seqs).not.toEqual(seqs.map((_, k) => k));
    expect(b.collected.events()).toMatchObject([{ code: 'error', text: expect.stringContaining('edges are missing') }]);
  });

  it('merged with a sample keep the edge and lose the sample', async () => {
    const b = bench(source, { inputs: ['trigger'] });
    await start(b);
    b.emulator.inject('merged-event');
    await b.time.advance(2000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.edges().length).toBeGreaterThan(4);
    expect(b.collected.gaps()).toMatchObject([
      { count: 1, cause: 'invalid', firstTick: b.emulator.faultsDone[0]!.sample },
    ]);
  });

  it('can start the acquisition', async () => {
    const b = bench(source, { inputs: ['trigger'] });
    await start(b, { trigger: 'd7' });
    await b.time.advance(3000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.error).toBeNull();
    const edgeTimes = Array.from({ length: 40 }, (_, n) => [0.9003 + 0.25 * n, 1.0003 + 0.25 * n]).flat();
    expect(edgeTimes.some((time_s) => Math.abs(time_s - b.emulator.firstSample_s!) < 1e-6)).toBe(true);
    expect(b.collected.contiguousUpTo()).toBeGreaterThan(1500);
  });
});

describe('faults in the ASCII stream', () => {
  const runWith = async (fault: string, options: Partial<Lpm01aEmulatorOptions> = {}) => {
    const b = bench(sine, options);
    await start(b, { output: 'current' });
    await b.time.advance(1300);
    b.emulator.inject(fault);
    await b.time.advance(2000);
    await b.time.run(b.instrument.stop());
    return b;
  };

  it.each([
    ['split-line', 1],
    ['text-after', 1],
    ['text-before', 1],
    ['merged-lines', 2],
  ])('%s is a gap of %i, and every other sample keeps its time', async (fault, count) => {
    const b = await runWith(fault);
    expect(b.collected.gaps()).toEqual([
      { kind: 'gap', stream: 'main', firstTick: b.emulator.faultsDone[0]!.sample, count, cause: 'invalid' },
    ]);
    expect(worstError(b, sine, 1000, 'current')).toBeLessThan(1e-3);
    expect(b.collected.contiguousUpTo()).toBeGreaterThan(3290);
  });

  it.each(['nul', 'rubbish'])('%s costs no sample', async (fault) => {
    const b = await runWith(fault);
    expect(b.collected.gaps()).toEqual([]);
    expect(worstError(b, sine, 1000, 'current')).toBeLessThan(1e-3);
  });

  it.each([1, 63, 64, 6400])('%i lost samples are a gap at the next time-stamp', async (lost) => {
    const b = bench(sine);
    await start(b, { rate_Hz: 5000, output: 'current' });
    await b.time.advance(700);
    b.emulator.inject(`drop-samples=${lost}`);
    await b.time.advance(2500);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps().reduce((sum, gap) => sum + gap.count!, 0)).toBe(lost);
    expect(b.collected.gaps().every((gap) => gap.cause === 'link-loss')).toBe(true);
    const after = b.emulator.faultsDone[0]!.sample + lost + 1000;
    expect(worstError(b, sine, 5000, 'current', after)).toBeLessThan(1e-3);
  });

  it('half a sample line costs that sample', async () => {
    const b = await runWith('drop-bytes=4');
    expect(b.collected.gaps()).toMatchObject([{ count: 1, cause: 'invalid' }]);
    expect(worstError(b, sine, 1000, 'current')).toBeLessThan(1e-3);
  });

  it('a full buffer is announced, and its overflow ends the stream with an error', async () => {
    const b = bench(sine);
    await start(b);
    b.emulator.inject('buffer=85');
    await b.time.advance(2500);
    expect(b.collected.events()).toMatchObject([{ code: 'host-slow', text: expect.stringContaining('85 %') }]);
    b.emulator.inject('buffer-full');
    await b.time.advance(100);
    expect(b.collected.error).toMatchObject({ code: 'device.error', message: expect.stringContaining('buffer full') });
    expect(b.collected.gaps().at(-1)).toMatchObject({ count: null, cause: 'unknown' });
  });
});

describe('faults in the binary stream', () => {
  const runWith = async (fault: string, rate_Hz = 10_000) => {
    const b = bench(sine);
    await start(b, { output: 'current', format: 'bin_hexa', rate_Hz });
    await b.time.advance(350);
    b.emulator.inject(fault);
    await b.time.advance(1000);
    await b.time.run(b.instrument.stop());
    return b;
  };

  it('a lost byte never shifts samples into invented values: all that may be shifted is a gap', async () => {
    const b = await runWith('drop-bytes=1');
    expect(b.collected.gaps()).toMatchObject([{ count: 1000, cause: 'invalid' }]);
    expect(b.collected.events().map((event) => event.code)).toEqual(['resync']);
    expect(worstError(b, sine, 10_000, 'current')).toBeLessThan(RESOLUTION.bin_hexa * 1.001);
    expect(b.collected.contiguousUpTo()).toBeGreaterThan(13_000);
  });

  it.each([1, 63, 64, 6400])('%i lost samples are a gap at the next time-stamp', async (lost) => {
    const b = await runWith(`drop-samples=${lost}`);
    expect(b.collected.gaps().reduce((sum, gap) => sum + gap.count!, 0)).toBe(lost);
    const after = b.emulator.faultsDone[0]!.sample + lost + 1000;
    expect(worstError(b, sine, 10_000, 'current', after)).toBeLessThan(RESOLUTION.bin_hexa * 1.001);
  });

  it('at 100 kHz nothing is lost', async () => {
    const b = bench(sine);
    await measure(b, { output: 'current', rate_Hz: 100_000 }, 1000);
    expect(b.collected.gaps()).toEqual([]);
    expect(b.collected.contiguousUpTo()).toBeGreaterThan(99_000);
  });
});

describe('an LPM01A that gives up', () => {
  it.each([
    ['ascii_dec', 'overcurrent'],
    ['bin_hexa', 'overcurrent'],
  ] as const)('in %s: overload and supply trip, then an error', async (format, fault) => {
    const b = bench(sine);
    await start(b, { format });
    await b.time.advance(200);
    b.emulator.inject(fault);
    await b.time.advance(100);
    expect(b.collected.events().map((event) => event.code)).toEqual(['overload', 'supply-trip']);
    expect(b.collected.error).toMatchObject({ code: 'device.overcurrent' });
    expect(b.collected.gaps()).toMatchObject([{ count: null }]);
    expect(b.voltages.at(-1)).toBe(0);
  });

  it('a current beyond the dynamic limit trips it, and static acquisition stands it', async () => {
    const dynamic = bench(dc(0.06));
    await start(dynamic);
    await dynamic.time.advance(100);
    expect(dynamic.collected.error).toMatchObject({ code: 'device.overcurrent' });
    expect([...dynamic.collected.samples('energy')]).toEqual([]);
    const stat = bench(dc(0.06));
    await measure(stat, { acquisition: 'stat', output: 'current' }, 100);
    expect(stat.collected.error).toBeNull();
  });

  it("the manual's F4 for an overcurrent ends the stream with an error, too", async () => {
    const b = bench(sine);
    await start(b, { format: 'bin_hexa' });
    b.emulator.inject('overcurrent-f4');
    await b.time.advance(100);
    expect(b.collected.error).toMatchObject({ code: 'device.stopped' });
    expect(b.voltages.at(-1)).toBe(0);
  });

  it.each([
    ['stop-by-itself', 'device.stopped', 'unknown'],
    ['stall', 'device.stalled', 'unknown'],
    ['unplug', 'device.vanished', 'unplugged'],
  ])('%s ends the stream within 2 s with %s', async (fault, code, cause) => {
    for (const format of ['ascii_dec', 'bin_hexa'] as const) {
      const b = bench(sine);
      await start(b, { format });
      await b.time.advance(500);
      b.emulator.inject(fault);
      await b.time.advance(2000);
      expect(b.collected.error).toMatchObject({ code });
      expect(b.collected.gaps()).toMatchObject([{ count: null, cause }]);
      expect(worstError(b, sine, 1000, 'energy')).toBeLessThan(RESOLUTION[format] * 1.001);
      await b.time.run(b.instrument.close());
    }
  });

  it('a device that never confirms the stop is an error within 2 s', async () => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(100);
    b.emulator.inject('stall');
    const before_ns = b.time.now_ns();
    await expect(b.time.run(b.instrument.stop())).rejects.toMatchObject({ code: 'device.silent' });
    expect(b.time.now_ns() - before_ns).toBeLessThan(2e9);
    expect(b.collected.error).toMatchObject({ code: 'device.silent' });
  });
});

describe('the LPM01A emulator', () => {
  it('knows each fault of its list', () => {
    const b = bench(dc(1e-3));
    for (const fault of Object.keys(lpm01aFaults)) b.emulator.inject(fault.endsWith('=') ? `${fault}3` : fault);
  });

  it('answers in the order and the words of the MLCommons runner', async () => {
    const b = bench(sine, { inputs: ['trigger'] });
    let answers = '';
    b.host.onData((bytes) => {
      answers += Buffer.from(bytes).toString('latin1');
    });
    for (const line of [
      'htc',
      'lcd 1 "hello"',
      'pwr off',
      'acqtime inf',
      'trigdelay 0',
      'trigsrc sw',
      'eventsrc d7 fal',
      'output energy',
      'format ascii_dec',
      'freq 1k',
      'volt 3000m',
      'pwr on nostatus',
      'start',
    ]) {
      await b.host.write(Buffer.from(`${line}\r\n`));
      await b.time.advance(5);
      expect(answers).toContain(`PowerShield > ack ${line}`);
    }
    await b.time.advance(1200);
    expect(answers).toContain('TimeStamp: 001s 000ms, buff 00%');
    await b.host.write(Buffer.from('pwr off\r\n'));
    await b.host.write(Buffer.from('stop\r\n'));
    await b.time.advance(50);
    expect(answers).toContain('PowerShield > Acquisition completed');
    await b.host.write(Buffer.from('nonsense\r\n'));
    await b.time.advance(5);
    expect(answers).toMatch(/PowerShield > error nonsense\r\nError detail: /);
  });

  it('answers to the byte as other clients of the board expect it', async () => {
    const b = bench(dc(1e-3));
    let answers = '';
    b.host.onData((bytes) => {
      answers += Buffer.from(bytes).toString('latin1');
    });
    for (const line of ['htc', 'echo ABC', 'volt 3300m', 'volt get', 'temp degc']) {
      await b.host.write(Buffer.from(`${line}\r\n`));
    }
    await b.time.advance(5);
    expect(answers).toBe(
      [
        '\r\nPowerShield > ack htc\r\n\r\n',
        '\r\nPowerShield > echo ABC\r\n',
        '\r\nPowerShield > ack volt 3300m\r\n\r\n',
        '\r\nPowerShield > ack volt get 3300-03\r\n\r\n',
        '\r\nPowerShield > ack temp degc 25.0\r\n\r\n',
      ].join(''),
    );
  });

  it('takes numbers in every form', async () => {
    const b = bench(dc(1e-3));
    let answers = '';
    b.host.onData((bytes) => {
      answers += Buffer.from(bytes).toString('latin1');
    });
    for (const line of ['htc', 'volt 2-0', 'volt get', 'volt 2500m', 'volt get', 'freq 1+3', 'freq 5k', 'volt 3,3']) {
      await b.host.write(Buffer.from(`${line}\n`));
    }
    await b.time.advance(5);
    expect(answers).toMatch(
      /volt get 2000-03[\s\S]*volt get 2500-03[\s\S]*ack freq 1\+3[\s\S]*ack freq 5k[\s\S]*error volt 3,3/,
    );
  });
});

describe.skipIf(noPty !== null)(`an LPM01A on a PTY${noPty ? ` (skipped: ${noPty})` : ''}`, () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  const measure = async (settings: Lpm01aSettings, duration_ms: number) => {
    const pty = await openPty();
    const emulator = new Lpm01aEmulator(pty.device, { source: sine, time: realTime });
    const instrument = new Lpm01a(await openSerial(pty.path, { baudRate: 3_686_400 }));
    const collected = new Collected(instrument);
    closing.push(
      () => instrument.close(),
      () => pty.device.close(),
    );
    await instrument.open();
    await instrument.configure({ maxVoltage_V: 3.3, ...settings });
    await instrument.supply!.setVoltage(3);
    await instrument.supply!.on();
    await instrument.start();
    await wait(realTime, duration_ms);
    await instrument.stop();
    return { emulator, collected };
  };

  it.for(['ascii_dec', 'bin_hexa'] as const)(
    'delivers every sample in real time through serialport in %s',
    async (format, context) => {
      const { emulator, collected } = await measure({ format, output: 'current', rate_Hz: 5000 }, 700).catch((error) =>
        skipIfStarved(context, error),
      );
      if (collected.error) skipIfStarved(context, collected.error);
      expect(collected.gaps()).toEqual([]);
      expect(collected.contiguousUpTo()).toBeGreaterThan(1000);
      const [current, voltage] = [new Float64Array(1), new Float64Array(1)];
      for (const [tick, value] of collected.samples()) {
        sine.fillMeans(emulator.firstSample_s! + tick / 5000, 1 / 5000, 1, current, voltage);
        if (Math.abs(value / current[0]! - 1) > 2.1e-3)
          expect.fail(`sample ${tick}: ${value} A, truth ${current[0]} A`);
      }
    },
  );
});
