import { describe, expect, it } from 'vitest';
import type { EmulatorOptions } from '../../../src/instruments/emulator.ts';
import { Js220, Js220Emulator, type Js220Settings } from '../../../src/instruments/js220/index.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import type { Gap, SampleBlock } from '../../../src/signal/types.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { memoryUsb } from '../../../src/transport/usb-memory.ts';
import { Collected } from '../../support/instrument.ts';
import { dc, spikes, staircase } from '../../support/signals.ts';

const sine = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 333 }, { voltage_V: 3.3 });

function bench(source: SignalSource, options: Partial<EmulatorOptions> = {}) {
  const time = new VirtualTime();
  const emulator = new Js220Emulator({ source, time, ...options });
  const usb = memoryUsb(emulator, time);
  const instrument = new Js220(usb, { time, epoch_ns: 1_763_769_600_000_000_000n });
  return { time, usb, emulator, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

const noInputs = { logicInputs: [] };

async function start(b: Bench, settings: Js220Settings = noInputs): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure(settings));
  await b.time.run(b.instrument.start());
}

/** Blocks and gaps follow each other without overlap or hole. @returns the tick after the last of them */
function contiguous(b: Bench, stream = 'main'): number {
  const step = b.instrument.streams.find(({ id }) => id === stream)!.ticksPerSample!;
  let tick: number | null = null;
  for (const chunk of b.collected.chunks) {
    if ((chunk.kind !== 'block' && chunk.kind !== 'gap') || chunk.stream !== stream) continue;
    if (tick !== null) expect(chunk.firstTick).toBe(tick);
    const count: number | null = chunk.kind === 'block' ? chunk.length : chunk.count;
    if (count === null) return chunk.firstTick;
    tick = chunk.firstTick + count * step;
  }
  return tick ?? 0;
}

/** Largest relative error of the samples against the source; the float32 of the wire has 6e-8. */
function worstError(b: Bench, source: SignalSource, quantity: 'current' | 'voltage' = 'current'): number {
  const first_s = b.emulator.firstSample_s!;
  let worst = 0;
  for (const block of b.collected.blocks()) {
    const [current, voltage] = [new Float64Array(block.length), new Float64Array(block.length)];
    const step_s = block.ticksPerSample / 2e6;
    source.fillMeans(first_s + block.firstTick / 2e6, step_s, block.length, current, voltage);
    const truth = quantity === 'current' ? current : voltage;
    for (let i = 0; i < block.length; i++) {
      worst = Math.max(worst, Math.abs(block[quantity]![i]! - truth[i]!) / Math.max(Math.abs(truth[i]!), 1e-9));
    }
  }
  return worst;
}

const missing = (gaps: Gap[]) => gaps.reduce((sum, gap) => sum + gap.count!, 0);
const isSample = (chunk: { kind: string }): chunk is SampleBlock => chunk.kind === 'block';

describe('an emulated JS220', () => {
  it('answers a question for all values, as the driver of the maker asks it when it opens', () => {
    const time = new VirtualTime();
    const emulator = new Js220Emulator({ source: sine, time });
    emulator.plug({ ready: () => {}, unplugged: () => {} });
    const connect = { requestType: 0xc0, request: 1, value: 0, index: 0 };
    expect([...(emulator.controlIn(connect, 1) as Uint8Array)]).toEqual([0]);
    const publish = (topic: string, value: number) => {
      const frame = Buffer.alloc(48);
      // Port 1, 44 bytes.
      frame.writeUInt32LE((44 << 16) | (1 << 25));
      frame.write(topic, 4);
      frame[36] = 10;
      frame.writeUInt32LE(value, 40);
      emulator.bulkOut(0x01, frame);
    };
    publish('s/v/range/mode', 4);
    publish('?', 0);
    const told = new Map<string, number>();
    for (let frame = emulator.takeIn(0x82, 512); frame !== null; frame = emulator.takeIn(0x82, 512)) {
      const bytes = Buffer.from(frame);
      if (bytes.readUInt32LE(0) >>> 25 !== 1) continue;
      told.set(bytes.toString('latin1', 4, 36).replace(/\0+$/, ''), bytes.readUInt32LE(40));
    }
    expect(Object.fromEntries(told)).toEqual({ 's/v/range/mode#': 0, 's/i/range/mode?': 3, 's/v/range/mode?': 4 });
    emulator.stop();
  });
});

describe('opening a JS220', () => {
  it('reads who it is', async () => {
    const b = bench(sine);
    expect(await b.time.run(b.instrument.open())).toMatchObject({
      family: 'js220',
      serial: 'SIM-JS220-0001',
      simulated: true,
      firmware: '1.3.0',
      hardware: '1.8.0',
      rates_Hz: [1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 250_000, 1_000_000],
      supplyRange_V: null,
      notices: [],
    });
  });

  it('names its ranges as the metadata does', async () => {
    const b = bench(sine);
    await b.time.run(b.instrument.open());
    await b.time.run(b.instrument.configure({}));
    const names = b.instrument.streams[0]!.ranges.map(({ name }) => name);
    expect(names).toEqual(['10 A', '180 mA', '18 mA', '1.8 mA', '180 uA', '18 uA']);
  });

  it.each([
    ['stall', 'device.silent'],
    ['wrong-device', 'device.refused'],
    ['bad-status', 'device.refused'],
    ['no-connect', 'device.silent'],
    ['wrong-protocol', 'device.version'],
    ['no-pong', 'device.silent'],
    ['no-metadata', 'device.metadata'],
    ['broken-metadata', 'device.metadata'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(sine);
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code });
    expect(b.time.now_ns()).toBeLessThan(2e9);
    await b.time.run(b.instrument.close());
  });

  it('says at once that it vanished', async () => {
    const b = bench(sine);
    b.emulator.inject('no-pong');
    b.time.after(100, () => b.usb.unplug());
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code: 'device.vanished' });
    expect(b.time.now_ns()).toBeLessThan(0.2e9);
  });

  it('offers only the full rate with old firmware', async () => {
    const b = bench(sine);
    b.emulator.inject('old-firmware');
    expect(await b.time.run(b.instrument.open())).toMatchObject({
      rates_Hz: [1_000_000],
      notices: [expect.stringContaining('older than 1.3.0')],
    });
    await expect(b.instrument.configure({ rate_Hz: 1000 })).rejects.toMatchObject({ code: 'instrument.setting' });
  });

  it('answers time synchronisations, so that the time map becomes true', async () => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(2500);
    expect(b.emulator.timesyncReplies).toBe(3);
  });

  it('refuses calls out of order and settings that it does not have', async () => {
    const b = bench(sine);
    expect(() => b.instrument.describe()).toThrow(expect.objectContaining({ code: 'device.not-open' }));
    await expect(b.instrument.start()).rejects.toMatchObject({ code: 'device.not-open' });
    await b.time.run(b.instrument.open());
    for (const settings of [
      { rate_Hz: 500_000 },
      { rate_Hz: 333_333 },
      { currentRange: '7 A' },
      { voltageRange: '99 V' },
      { gpioReference: '1v8' },
      { statistics_Hz: 1e6 },
      { statistics_Hz: Number.NaN },
      { logicInputs: ['a', 'b', 'c', 'd', 'e', 'f'] },
    ]) {
      await expect(b.instrument.configure(settings)).rejects.toMatchObject({ code: 'instrument.setting' });
    }
  });

  it('tells of a setting that the instrument itself refuses', async () => {
    const b = bench(sine);
    await b.time.run(b.instrument.open());
    b.emulator.inject('refuse-setting');
    await expect(b.time.run(b.instrument.configure({}))).rejects.toMatchObject({
      code: 'device.refused',
      message: expect.stringContaining('code 5'),
    });
  });
});

describe('samples of a JS220', () => {
  const steps = [5e-6, 50e-6, 0.5e-3, 5e-3, 0.05, 1.5, 0];

  it.each([
    ['DC', dc(3.3e-3)],
    ['a sine', sine],
    ['steps across every range', staircase(steps, 0.013)],
    ['spikes of one sample', spikes(1e-3, 0.2, 1e-6)],
  ])('%s equal the truth to the resolution of the format', async (_name, source) => {
    const b = bench(source);
    await start(b);
    await b.time.advance(150);
    await b.time.run(b.instrument.stop());
    expect(b.collected.isComplete).toBe(true);
    expect(b.collected.gaps()).toEqual([]);
    expect(contiguous(b)).toBeGreaterThan(2 * 145_000);
    expect(worstError(b, source)).toBeLessThan(1e-6);
    expect(worstError(b, source, 'voltage')).toBeLessThan(1e-7);
  });

  it('show the range of each sample', async () => {
    const source = new SteppedSignal(
      steps.slice(0, 6).map((current_A) => ({ current_A, duration_s: 0.01 })),
      { voltage_V: 3 },
    );
    const b = bench(source);
    await start(b);
    await b.time.advance(100);
    for (const block of b.collected.blocks()) {
      for (let i = 0; i < block.length; i++) {
        const level = steps.findIndex((current_A) => Math.abs(block.current![i]! - current_A) < 1e-7);
        if (block.range![i] !== 5 - level) expect.fail(`${block.current![i]} A in range ${block.range![i]}`);
      }
    }
  });

  it('stay in a range that was chosen by name', async () => {
    const b = bench(dc(1e-3));
    await start(b, { ...noInputs, currentRange: '180 ma', voltageRange: '2V', gpioReference: '3.3 V' });
    await b.time.advance(30);
    expect(new Set(b.collected.blocks().flatMap((block) => [...block.range!]))).toEqual(new Set([1]));
  });

  it.each([1_000_000, 250_000, 10_000])('carry power at %i Hz', async (rate_Hz) => {
    const b = bench(sine);
    await start(b, { ...noInputs, rate_Hz, power: true });
    await b.time.advance(100);
    await b.time.run(b.instrument.stop());
    expect(b.instrument.streams[0]).toMatchObject({ quantities: ['current', 'voltage', 'power'] });
    expect(b.collected.blocks()[0]!.ticksPerSample).toBe(2e6 / rate_Hz);
    expect(worstError(b, sine)).toBeLessThan(1e-6);
    for (const block of b.collected.blocks()) {
      const errors = block.power!.map((power, i) => Math.abs(power / (3.3 * block.current![i]!) - 1));
      expect(Math.max(...errors)).toBeLessThan(1e-6);
    }
  });

  it.each([{}, { fault: 'near-wrap' }])('show the inputs at the exact tick %o', async ({ fault }) => {
    const pulses = [
      { channel: 'trigger', start_s: 0.0250372, period_s: 0.01, width_s: 0.000_0013 },
      { channel: 'busy', start_s: 0.021, period_s: 0.003, width_s: 0.001 },
    ];
    const source = new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: 3, pulses });
    const b = bench(source, { inputs: ['busy', 'none', 'none', 'none', 'trigger'] });
    if (fault) b.emulator.inject(fault);
    await start(b, { logicInputs: ['busy', '', '', '', 'trigger'] });
    await b.time.advance(150);
    await b.time.run(b.instrument.stop());
    const first_s = b.emulator.firstSample_s!;
    for (const { channel, start_s, period_s, width_s } of pulses) {
      const got = b.collected.edges().filter((edge) => edge.channel === channel);
      expect(got.length).toBeGreaterThan(20);
      for (const [k, edge] of got.entries()) {
        const time_s = start_s + Math.floor(k / 2) * period_s + (k % 2) * width_s;
        // An edge seen first at tick k lies in (k-1, k].
        expect(edge.tick + 0.5).toBe(Math.ceil((time_s - first_s) * 2e6 - 1e-3));
        expect(edge).toMatchObject({ polarity: k % 2 === 0 ? 'rise' : 'fall', seq: k, clock: 'instrument' });
      }
    }
    expect(contiguous(b, 'inputs')).toBeGreaterThan(200_000);
    expect(b.collected.gaps('inputs')).toEqual([]);
    expect(b.collected.gaps()).toEqual([]);
    expect(worstError(b, source)).toBeLessThan(1e-6);
    const upTo = b.collected.chunks.flatMap((chunk) => (chunk.kind === 'progress' ? [chunk.upTo] : []));
    expect(upTo).toEqual([...upTo].sort((x, y) => x - y));
  });

  it('come with the statistics of the instrument on request', async () => {
    const b = bench(sine);
    await start(b, { ...noInputs, statistics_Hz: 10 });
    await b.time.advance(450);
    await b.time.run(b.instrument.stop());
    const blocks = b.collected.blocks('statistics');
    expect(blocks.length).toBe(4);
    for (const block of blocks) {
      const [current, voltage] = [new Float64Array(1), new Float64Array(1)];
      sine.fillMeans(b.emulator.firstSample_s! + block.firstTick / 2e6, 0.1, 1, current, voltage);
      expect(block.current![0]! / current[0]! - 1).toBeCloseTo(0, 7);
      expect(block.power![0]! / (3.3 * current[0]!) - 1).toBeCloseTo(0, 7);
    }
  });
});

describe('losses of a JS220', () => {
  const run = async (fault: string, settings: Js220Settings = {}, ms = 120) => {
    const b = bench(sine);
    await start(b, settings);
    await b.time.advance(50);
    b.emulator.inject(fault);
    await b.time.advance(ms);
    await b.time.run(b.instrument.stop());
    return b;
  };

  it.each(['drop-frames=1', 'drop-frames=9', 'drop-frames=200'])('%s become gaps and keep the time', async (fault) => {
    const b = await run(fault);
    expect(b.collected.gaps().length).toBeGreaterThan(0);
    expect(new Set(b.collected.gaps().map((gap) => gap.cause))).toEqual(new Set(['link-loss']));
    contiguous(b);
    contiguous(b, 'inputs');
    expect(worstError(b, sine)).toBeLessThan(1e-6);
  });

  it.each([2, 16, 504, 100_000])('%i ticks lost inside the instrument are counted', async (ticks) => {
    const b = await run(`skip=${ticks}`);
    expect(b.collected.gaps()).toMatchObject([{ count: ticks / 2, cause: 'dropped' }]);
    expect(b.collected.gaps()[0]!.firstTick / 2).toBe(b.emulator.faultsDone[0]!.sample);
    expect(b.collected.gaps('inputs')).toMatchObject([{ count: ticks, cause: 'dropped' }]);
    contiguous(b, 'inputs');
    contiguous(b);
    expect(worstError(b, sine)).toBeLessThan(1e-6);
  });

  it('an odd number of ticks is counted in whole samples', async () => {
    const b = await run('skip=7');
    expect(b.collected.gaps()).toMatchObject([{ count: 4 }]);
    expect(b.collected.gaps('inputs')).toMatchObject([{ count: 7 }]);
    expect(worstError(b, sine)).toBeLessThan(1e-6);
  });

  it.each(['overlap=1', 'overlap=3', 'overlap=8', 'overlap=13', 'overlap=100', 'overlap=5000', 'old-message'])(
    '%s is trimmed and nothing appears twice',
    async (fault) => {
      const pulses = [{ channel: 'x', start_s: 0.01, period_s: 0.0007, width_s: 0.000_2015 }];
      const source = new SteppedSignal(
        [
          { current_A: 1e-3, duration_s: 3e-4 },
          { current_A: 0.1, duration_s: 1e-4 },
        ],
        {
          voltage_V: 3,
          pulses,
        },
      );
      const b = bench(source, { inputs: ['x'] });
      await start(b, { logicInputs: ['x'] });
      await b.time.advance(50);
      b.emulator.inject(fault);
      await b.time.advance(80);
      await b.time.run(b.instrument.stop());
      expect(b.collected.gaps()).toEqual([]);
      expect(b.collected.gaps('inputs')).toEqual([]);
      contiguous(b);
      contiguous(b, 'inputs');
      expect(worstError(b, source)).toBeLessThan(1e-6);
      for (const block of b.collected.blocks()) {
        const wrong = block.range!.findIndex((range, i) => range !== (block.current![i]! > 0.01 ? 1 : 3));
        expect(wrong).toBe(-1);
      }
      const first_s = b.emulator.firstSample_s!;
      const edges = b.collected.edges();
      expect(edges.length).toBeGreaterThan(250);
      const begin = Math.ceil((first_s - 0.01) / 0.0007 - 1e-9);
      for (const [k, edge] of edges.entries()) {
        const pulse = Math.max(0, begin) + Math.floor(k / 2);
        const time_s = 0.01 + pulse * 0.0007 + (k % 2) * 0.000_2015;
        expect(edge.tick + 0.5).toBe(Math.ceil((time_s - first_s) * 2e6 - 1e-3));
      }
    },
  );

  it('a voltage that begins later than the current only begins the stream later', async () => {
    const b = bench(sine);
    b.emulator.inject('misaligned');
    await start(b);
    await b.time.advance(50);
    expect(b.collected.gaps()).toEqual([]);
    expect(worstError(b, sine)).toBeLessThan(1e-6);
    expect(worstError(b, sine, 'voltage')).toBeLessThan(1e-7);
  });

  it('a counter that jumps far is placed again by the time map', async () => {
    const b = await run('counter-jump', noInputs);
    expect(missing(b.collected.gaps())).toBe(2 ** 30);
    contiguous(b);
    expect(b.collected.blocks().at(-1)!.firstTick).toBeGreaterThan(2 ** 31);
  });

  it('readings that are no number become a gap, never samples', async () => {
    const b = await run('nan=37', noInputs);
    expect(missing(b.collected.gaps())).toBe(37);
    expect(b.collected.gaps().every((gap) => gap.cause === 'invalid')).toBe(true);
    expect(b.collected.blocks().every((block) => block.current!.every(Number.isFinite))).toBe(true);
    contiguous(b);
  });

  it.each(['short-frame', 'rubbish'])('%s is skipped and told', async (fault) => {
    const b = await run(fault, noInputs);
    expect(b.collected.events().map((event) => event.code)).toEqual(['resync']);
    contiguous(b);
    expect(worstError(b, sine)).toBeLessThan(1e-6);
  });

  it('a control message of an unknown kind is told and ignored', async () => {
    const b = await run('unknown-op', noInputs);
    expect(b.collected.events()).toMatchObject([{ code: 'info', text: expect.stringContaining('unknown kind 9') }]);
    expect(b.collected.gaps()).toEqual([]);
  });

  it.each(['stall', 'no-samples', 'stop-stream=6', 'stop-stream=9', 'no-timemap'])(
    '%s ends the stream within 2 s',
    async (fault) => {
      const b = bench(sine);
      const isEarly = fault === 'no-timemap';
      if (isEarly) b.emulator.inject(fault);
      await start(b, {});
      await b.time.advance(50);
      const at_ns = b.time.now_ns();
      if (!isEarly) b.emulator.inject(fault);
      for (let k = 0; k < 20 && b.collected.error === null; k++) await b.time.advance(100);
      expect(b.collected.error).toMatchObject({ code: 'device.stalled' });
      expect(b.time.now_ns() - at_ns).toBeLessThan(2e9);
      expect(b.collected.gaps().at(-1)).toMatchObject({ count: null, cause: 'unknown' });
    },
  );

  it('an unplug ends the stream with a gap and the error', async () => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(50);
    b.emulator.inject('unplug');
    await b.time.advance(10);
    expect(b.collected.error).toMatchObject({ code: 'device.vanished' });
    expect(b.collected.chunks.filter((chunk) => chunk.kind === 'gap')).toMatchObject([
      { count: null, cause: 'unplugged', stream: 'main' },
    ]);
    await b.time.run(b.instrument.close());
    expect(b.collected.chunks.filter(isSample).length).toBeGreaterThan(5);
  });
});
