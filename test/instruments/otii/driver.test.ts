import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OtiiEmulatorOptions } from '../../../src/instruments/otii/emulator.ts';
import { Otii, OtiiEmulator, type OtiiOptions, type OtiiSettings } from '../../../src/instruments/otii/index.ts';
import { OtiiClient, parseAnalog, parseDigital, parseOtiiMessage } from '../../../src/instruments/otii/protocol.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { fuzz } from '../../support/fuzz.ts';
import { Collected } from '../../support/instrument.ts';
import { randomBelow, randomChunks } from '../../support/random.ts';
import { dc, spikes, staircase } from '../../support/signals.ts';

const sine = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 33 }, { voltage_V: 3.3 });
const steps = staircase([2e-6, 50e-6, 0.4e-3, 5e-3, 0.04, 0.4, 1e-9], 0.0173, 3.3);
const peaks = spikes(1e-3, 0.2, 1 / 4000, 3.3);

const chunking = randomChunks(3000);

function bench(source: SignalSource, options: Partial<OtiiEmulatorOptions> = {}, driver: OtiiOptions = {}) {
  const time = new VirtualTime();
  const [host, device] = memoryPair('127.0.0.1:1905', chunking);
  const emulator = new OtiiEmulator(device, { source, time, ...options });
  const instrument = new Otii(host, { time, ...driver });
  return { time, host, device, emulator, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

async function start(b: Bench, settings: OtiiSettings = {}): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure(settings));
  await b.time.run(b.instrument.start());
}

/** Every sample equals the truth to the float32 that the server prints. @returns samples */
function expectTruth(b: Bench, source: SignalSource): number {
  let n = 0;
  const rate_Hz = b.instrument.clocks[0]!.tickHz;
  for (const block of b.collected.blocks()) {
    const [current, voltage] = [new Float64Array(block.length), new Float64Array(block.length)];
    const start_s = b.emulator.firstSample_s! + block.firstTick / rate_Hz;
    source.fillMeans(start_s, 1 / rate_Hz, block.length, current, voltage);
    for (let i = 0; i < block.length; i++, n++) {
      if (Math.abs(block.current![i]! / current[i]! - 1) > 1e-6) expect.fail(`sample ${block.firstTick + i}`);
      if (Math.abs(block.voltage![i]! / voltage[i]! - 1) > 1e-7) expect.fail(`voltage ${block.firstTick + i}`);
    }
  }
  return n;
}

describe('opening an Otii', () => {
  it('reads which device the server has', async () => {
    const b = bench(sine);
    expect(await b.time.run(b.instrument.open())).toMatchObject({
      family: 'otii',
      model: 'Otii Arc',
      serial: 'SIM-OTII-0001',
      simulated: true,
      hardware: 'Otii server 3.4.0',
    });
  });

  it.each([
    ['wrong-device', 'device.wrong'],
    ['other-protocol', 'device.version'],
    ['no-device', 'device.missing'],
    ['two-devices', 'device.ambiguous'],
    ['stall', 'device.silent'],
    ['half-line', 'device.silent'],
    ['rubbish', 'device.protocol'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(sine);
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code, where: '127.0.0.1:1905' });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it.each([
    ['no-license', 'No license'],
    ['not-logged-in', 'Not logged in'],
  ])('passes on word for word: %s', async (fault, words) => {
    const b = bench(sine);
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({
      code: 'device.refused',
      message: expect.stringContaining(`"${words}"`),
      remedy: expect.stringContaining('OTII_USERNAME'),
    });
  });

  it('logs in where it has to, and tells of a wrong password without repeating it', async () => {
    const login = { username: 'someone', password: 'hunter2' };
    const b = bench(sine, {}, { login });
    b.emulator.inject('not-logged-in');
    await b.time.run(b.instrument.open());
    const refused = bench(sine, {}, { login });
    refused.emulator.inject('wrong-password');
    const error = await refused.time.run(refused.instrument.open()).catch((reason) => reason);
    expect(error.message).toContain('"Could not login"');
    expect(JSON.stringify(error)).not.toContain('hunter2');
  });

  it('takes the device that was named', async () => {
    const b = bench(sine, {}, { device: 'Emulated' });
    b.emulator.inject('two-devices');
    expect(await b.time.run(b.instrument.open())).toMatchObject({ serial: 'SIM-OTII-0001' });
  });

  it.each<OtiiSettings>([{ rate_Hz: 1000 }, { logicInputs: ['a', 'b', 'c'] }])(
    'refuses %o on an Arc',
    async (settings) => {
      const b = bench(sine);
      await b.time.run(b.instrument.open());
      await expect(b.time.run(b.instrument.configure(settings))).rejects.toMatchObject({ code: 'instrument.setting' });
    },
  );

  it('passes on why the device refuses a setting', async () => {
    const b = bench(sine);
    await b.time.run(b.instrument.open());
    b.emulator.inject('refuse-setting');
    await expect(b.time.run(b.instrument.configure({ range: 'low' }))).rejects.toMatchObject({
      code: 'device.refused',
      message: expect.stringContaining('"Invalid key value" (value out of range)'),
    });
  });
});

describe('a recording of an Otii', () => {
  it.each([
    ['DC', dc(1e-3, 3.3)],
    ['a sine', sine],
    ['steps across the ranges', steps],
    ['spikes of one sample', peaks],
  ])('of %s equals the truth to the printed digits', async (_name, source) => {
    const b = bench(source);
    await start(b);
    await b.time.advance(2300);
    await b.time.run(b.instrument.stop());
    expect(b.collected.isComplete).toBe(true);
    expect(b.collected.gaps()).toEqual([]);
    expect(b.collected.contiguousUpTo()).toBe(9200);
    expect(expectTruth(b, source)).toBe(9200);
  });

  it('of an Ace comes at the rate that was asked for, in chunks of at most 40,000', async () => {
    const b = bench(sine, { type: 'Ace' });
    await start(b, { rate_Hz: 50_000 });
    await b.time.advance(600);
    const emulated = b.device.write.bind(b.device);
    b.device.write = (bytes) => new Promise((resolve) => b.time.after(1100, () => emulated(bytes).then(resolve)));
    await b.time.advance(500);
    b.device.write = emulated;
    await b.time.advance(4000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.error).toBeNull();
    expect(expectTruth(b, sine)).toBeGreaterThan(250_000);
    expect(b.collected.blocks().some((block) => block.length > 40_000)).toBe(false);
    expect(b.collected.gaps()).toEqual([]);
  });

  it.each(['progress', 'information', 'slow=40'])('survives %s between the replies', async (fault) => {
    const b = bench(sine);
    b.emulator.inject(fault);
    await start(b);
    await b.time.advance(2000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toEqual([]);
    expect(expectTruth(b, sine)).toBeGreaterThan(7900);
    const told = b.collected.events().filter((event) => event.text.includes('mouse'));
    expect(told.length > 0).toBe(fault === 'information');
  });

  it('shows the edges of both inputs on its own clock', async () => {
    const pulses = [
      { channel: 'trigger', start_s: 0.25037, period_s: 0.1, width_s: 0.00013 },
      { channel: 'busy', start_s: 0.21, period_s: 0.03, width_s: 0.01 },
    ];
    const source = new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: 3, pulses });
    const b = bench(source, { inputs: ['trigger', 'busy'] });
    await start(b, { logicInputs: ['trigger', 'busy'] });
    await b.time.advance(1500);
    await b.time.run(b.instrument.stop());
    for (const { channel, start_s, period_s, width_s } of pulses) {
      const got = b.collected.edges().filter((edge) => edge.channel === channel);
      expect(got.length).toBeGreaterThan(20);
      for (const [k, edge] of got.entries()) {
        const time_s = start_s + Math.floor(k / 2) * period_s + (k % 2) * width_s;
        expect(edge.tick / 4000).toBeCloseTo(time_s - b.emulator.firstSample_s!, 9);
        expect(edge).toMatchObject({ polarity: k % 2 === 0 ? 'rise' : 'fall', seq: k, u_ticks: null });
      }
    }
    let upTo = 0;
    for (const chunk of b.collected.chunks) {
      if (chunk.kind === 'progress') upTo = chunk.upTo;
      if (chunk.kind === 'edges') for (const edge of chunk.edges) expect(edge.tick).toBeGreaterThan(upTo);
    }
  });

  it('with samples that are lost has a gap, and the time is kept', async () => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(700);
    b.emulator.inject('drop=37');
    await b.time.advance(700);
    await b.time.run(b.instrument.stop());
    const { sample } = b.emulator.faultsDone[0]!;
    expect(b.collected.gaps()).toMatchObject([{ firstTick: sample, count: 37, cause: 'dropped' }]);
    b.collected.contiguousUpTo();
    expectTruth(b, sine);
  });

  it('with values that are null has a gap', async () => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(700);
    b.emulator.inject('null-values=5');
    await b.time.advance(700);
    const { sample } = b.emulator.faultsDone[0]!;
    expect(b.collected.gaps()).toMatchObject([{ firstTick: sample, count: 5, cause: 'invalid' }]);
    expectTruth(b, sine);
  });

  it.each([
    ['stall', 'device.silent', 'unknown'],
    ['half-line', 'device.silent', 'unknown'],
    ['rubbish', 'device.protocol', 'unknown'],
    ['wrong-rate', 'device.protocol', 'unknown'],
    ['no-samples', 'device.stalled', 'unknown'],
    ['stop-voltage', 'device.stalled', 'unknown'],
    ['no-license', 'device.refused', 'unknown'],
    ['device-gone', 'device.vanished', 'unplugged'],
    ['unplug', 'device.vanished', 'unplugged'],
  ])('%s ends it with a gap and an error within 2 s', async (fault, code, cause) => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(650);
    const at_ns = b.time.now_ns();
    b.emulator.inject(fault);
    for (let k = 0; k < 40 && b.collected.error === null; k++) await b.time.advance(50);
    expect(b.collected.error).toMatchObject({ code });
    expect(b.time.now_ns() - at_ns).toBeLessThanOrEqual(2e9);
    expect(b.collected.gaps()).toMatchObject([{ count: null, cause }]);
    await b.time.run(b.instrument.close());
  });
});

describe('the supply of an Otii', () => {
  const open = async (settings: OtiiSettings = { maxVoltage_V: 3.6 }) => {
    const voltages: number[] = [];
    const b = bench(sine, { onSupply: (voltage_V) => voltages.push(voltage_V) });
    await b.time.run(b.instrument.open());
    await b.time.run(b.instrument.configure(settings));
    return { b, voltages, supply: b.instrument.supply! };
  };

  it('has no default voltage and refuses more than the limit', async () => {
    const { b, supply, voltages } = await open();
    await expect(b.time.run(supply.on())).rejects.toMatchObject({ code: 'supply.no-voltage' });
    for (const voltage_V of [3.7, Number.NaN]) {
      await expect(b.time.run(supply.setVoltage(voltage_V))).rejects.toMatchObject({ code: 'supply.voltage' });
    }
    const other = await open({});
    await expect(other.b.time.run(other.supply.setVoltage(3))).rejects.toMatchObject({ code: 'supply.voltage' });
    expect(voltages).toEqual([]);
  });

  it('goes on as set, and off at close()', async () => {
    const { b, supply, voltages } = await open({ maxVoltage_V: 3.6, currentLimit_A: 0.5 });
    await b.time.run(supply.setVoltage(3.3));
    await b.time.run(supply.on());
    expect(voltages.at(-1)).toBe(3.3);
    expect(b.emulator.requests).toContain('arc_set_max_current');
    await b.time.run(b.instrument.close());
    expect(voltages.at(-1)).toBe(0);
  });

  it('goes off when the recording fails', async () => {
    const { b, supply, voltages } = await open();
    await b.time.run(supply.setVoltage(3.3));
    await b.time.run(supply.on());
    await b.time.run(b.instrument.start());
    b.emulator.inject('no-samples');
    await b.time.advance(2000);
    expect(b.collected.error).toMatchObject({ code: 'device.stalled' });
    expect(voltages.at(-1)).toBe(0);
  });
});

describe('an emulated Otii server', () => {
  /** A client that asks as the maker's own does. */
  async function client(source: SignalSource, options: Partial<OtiiEmulatorOptions> = {}) {
    const time = new VirtualTime();
    const [host, device] = memoryPair('127.0.0.1:1905', chunking);
    const emulator = new OtiiEmulator(device, { source, time, ...options });
    const own = new OtiiClient(host, time, () => {});
    await time.run(own.greeting());
    const ids = { device_id: emulator.serial, recording_id: 1, project_id: 1 };
    const ask = async (cmd: string, data: object = {}) =>
      (await time.run(own.request(cmd, { ...ids, ...data }))) as Record<string, unknown>;
    return { time, ask };
  }

  it('lets the client of its maker reserve a licence and give it back', async () => {
    const { ask } = await client(sine);
    const [licence] = (await ask('otii_get_licenses')).licenses as { id: number; type: string; reserved_to: string }[];
    expect(licence).toMatchObject({ type: 'Automation', available: true, reserved_to: '' });
    await ask('otii_reserve_license', { license_id: licence!.id });
    expect(await ask('otii_has_license', { license_type: 'Automation' })).toEqual({ has_license: true });
    expect((await ask('otii_get_licenses')).licenses).toMatchObject([{ reserved_to: expect.stringMatching(/./) }]);
    await ask('otii_return_license', { license_id: licence!.id });
    expect(await ask('otii_has_license', { license_type: 'Automation' })).toEqual({ has_license: false });
  });

  it('tells extent and statistics of a recording, which equal its samples', async () => {
    const { time, ask } = await client(dc(0.02), { inputs: ['D0'] });
    await ask('otii_create_project');
    for (const channel of ['mc', 'i1', 'i2']) await ask('arc_enable_channel', { channel, enable: true });
    await ask('arc_enable_channel', { channel: 'i2', enable: false });
    await ask('otii_set_all_main', { enable: true });
    await ask('project_start_recording');
    await time.advance(2000);
    expect(await ask('recording_is_running')).toEqual({ running: true });
    expect(await ask('arc_get_main')).toEqual({ value: true });
    expect((await ask('arc_get_value', { channel: 'mc' })).value).toBeCloseTo(0.02, 9);
    await ask('project_stop_recording');
    expect(await ask('recording_is_running')).toEqual({ running: false });
    const info = await ask('recording_get_channel_info', { channel: 'mc' });
    expect(info).toEqual({ offset: 0, from: 0, to: 2, sample_rate: 4000 });
    expect(await ask('recording_get_channel_data_index', { channel: 'mc', timestamp: 1 })).toEqual({ index: 4000 });
    const statistics = await ask('recording_get_channel_statistics', { channel: 'mc', from: 0.5, to: 1.5 });
    expect(statistics).toMatchObject({ min: expect.closeTo(0.02, 9), max: expect.closeTo(0.02, 9) });
    expect(statistics.average).toBeCloseTo(0.02, 9);
    expect(statistics.energy as number).toBeGreaterThan(0);
    await expect(ask('recording_get_channel_data_count', { channel: 'i2' })).rejects.toThrow();
  });
});

describe('bytes from an Otii server', () => {
  it('never break the parsers', () => {
    const json = fc.json({ maxDepth: 4 });
    fc.assert(
      fc.property(fc.oneof(fc.string(), json), (line) => {
        parseOtiiMessage(line);
      }),
      fuzz(2000),
    );
    fc.assert(
      fc.property(fc.anything(), (data) => {
        parseAnalog(data);
        parseDigital(data);
        parseAnalog({ timestamp: 0, interval: 1, values: data });
        parseDigital({ values: data });
      }),
      fuzz(2000),
    );
  });

  it('of a million damaged lines never give a value that is no number', () => {
    const lines = [
      '{"type":"response","cmd":"c","trans_id":"7","data":{"data_type":"analog","timestamp":0.5,"interval":0.00025,"values":[0.001,null,2e-6]}}',
      '{"type":"response","trans_id":"8","data":{"data_type":"digital","values":[{"timestamp":1.25,"value":true}]}}',
      '{"type":"error","errorcode":"No license","trans_id":"9","data":{"message":"none"}}',
    ].map((line) => Buffer.from(line, 'latin1'));
    const random = randomBelow(5);
    let read = 0;
    for (let round = 0; round < 1_000_000; round++) {
      const damaged = Buffer.from(lines[round % lines.length]!);
      damaged[random(damaged.length)] = random(256);
      const message = parseOtiiMessage(damaged.toString('latin1'));
      if (message === null) continue;
      read++;
      const analog = parseAnalog(message.data);
      if (analog && !(analog.values instanceof Float64Array && analog.interval_s > 0)) expect.fail('no samples');
      parseDigital(message.data);
    }
    expect(read).toBeGreaterThan(100_000);
  });

  it('end every request with a reply or a typed error', async () => {
    const good = JSON.stringify({ type: 'response', trans_id: '1', data: {} });
    const line = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.constant(good),
      fc.constant('{"type":"progress","trans_id":"1"}'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 6 }), async (lines) => {
        const time = new VirtualTime();
        const [host, device] = memoryPair('fuzz');
        const client = new OtiiClient(host, time, () => {});
        await device.write(new Uint8Array(Buffer.from(lines.join('\r\n'))));
        for (let k = 0; k < 2; k++) {
          await time.run(client.request('x')).catch((error) => expect(error.code).toMatch(/^device\./));
        }
      }),
      fuzz(300),
    );
  });
});
