import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Ina226Hwmon, Ina226Iio } from '../../../src/instruments/ina226/index.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { Collected } from '../../support/instrument.ts';

const one = { chips: [{ address: 0x40, shunt_ohm: 0.01 }] };
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'joulemark-sysfs-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Files of a folder, with their texts. */
function tree(folder: string, files: Record<string, string | number>): string {
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, folder, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, `${text}\n`);
  }
  return join(root, folder);
}

describe('INA226 chips behind the hwmon driver', () => {
  const hwmon = (number = 2, address = 0x40, more: Record<string, string | number> = {}) => {
    const folder = tree(`sys/class/hwmon/hwmon${number}`, {
      name: 'ina226',
      in0_input: 1,
      in1_input: 3300,
      curr1_input: 250,
      power1_input: 825_000,
      shunt_resistor: 10_000,
      update_interval: 36,
      ...more,
    });
    symlinkSync(`../../../1-00${address.toString(16)}`, join(folder, 'device'));
    return folder;
  };
  const bench = () => {
    const time = new VirtualTime();
    const instrument = new Ina226Hwmon({ root, time });
    return { time, instrument, collected: new Collected(instrument) };
  };

  it('are found by name among other sensors', async () => {
    tree('sys/class/hwmon/hwmon0', { name: 'coretemp' });
    hwmon();
    hwmon(3, 0x41);
    const { instrument } = bench();
    expect(await instrument.open()).toMatchObject({
      family: 'ina226',
      hardware: '0x40, 0x41',
      notices: [expect.stringContaining('polled')],
    });
  });

  it('are read at twice the update interval, each value for the time since the last', async () => {
    const folder = hwmon();
    const { time, instrument, collected } = bench();
    await instrument.open();
    await instrument.configure(one);
    expect(instrument.streams).toMatchObject([
      { scale: { current: 1e-3, voltage: 1e-3 }, precision: 'f64', ranges: [{ resolution_A: 1e-3 }] },
    ]);
    await instrument.start();
    await time.advance(720);
    writeFileSync(join(folder, 'curr1_input'), '-17\n');
    await time.advance(72);
    await instrument.stop();
    const blocks = collected.blocks();
    expect(blocks.length).toBe(11);
    expect(blocks.map((block) => block.current![0])).toEqual([...new Array(10).fill(250), -17]);
    for (let k = 1; k < blocks.length; k++) expect(blocks[k]!.startTicks![0]).toBe(blocks[k - 1]!.endTicks![0]);
    expect(collected.isComplete).toBe(true);
  });

  it('refuse a rate at which values repeat, another shunt than the kernel has, and chips that are not there', async () => {
    hwmon();
    const { instrument } = bench();
    await instrument.open();
    const refusal = { code: 'instrument.settings' };
    await expect(instrument.configure({ ...one, rate_Hz: 100 })).rejects.toMatchObject(refusal);
    await expect(instrument.configure({ chips: [{ address: 0x40, shunt_ohm: 0.1 }] })).rejects.toMatchObject(refusal);
    await expect(instrument.configure({ chips: [{ address: 0x41, shunt_ohm: 0.01 }] })).rejects.toMatchObject(refusal);
  });

  it('that are not there, or are no numbers, are typed errors', async () => {
    await expect(bench().instrument.open()).rejects.toMatchObject({ code: 'device.missing' });
    hwmon(1, 0x40, { shunt_resistor: 'rubbish' });
    const { instrument } = bench();
    await instrument.open();
    await expect(instrument.configure(one)).rejects.toMatchObject({
      code: 'device.protocol',
      where: expect.stringContaining('shunt_resistor'),
    });
  });

  it('that vanish, or give rubbish, end the stream with a gap and an error', async () => {
    for (const [ruin, code] of [
      [(folder: string) => rmSync(folder, { recursive: true }), 'device.missing'],
      [(folder: string) => writeFileSync(join(folder, 'curr1_input'), 'ENODATA'), 'device.protocol'],
    ] as const) {
      const folder = hwmon();
      const { time, instrument, collected } = bench();
      await instrument.open();
      await instrument.configure(one);
      await instrument.start();
      await time.advance(300);
      ruin(folder);
      await time.advance(1000);
      expect(collected.error).toMatchObject({ code });
      expect(collected.gaps()).toMatchObject([{ count: null }]);
      await instrument.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

const noFifo = spawnSync('mkfifo', ['--version']).error ? 'there is no mkfifo' : null;

describe.skipIf(noFifo !== null)(`INA226 chips behind the IIO driver${noFifo ? ` (skipped: ${noFifo})` : ''}`, () => {
  const attributes = {
    name: 'ina226',
    in_shunt_resistor: '0.010000000',
    in_oversampling_ratio: 4,
    in_voltage0_integration_time: '0.001100',
    in_voltage1_integration_time: '0.001100',
    in_allow_async_readout: 1,
    current_timestamp_clock: 'realtime',
    'buffer/enable': 0,
    'buffer/length': 2,
    ...Object.fromEntries(
      ['voltage0', 'voltage1', 'power2', 'current3', 'timestamp'].map((name) => [`scan_elements/in_${name}_en`, 0]),
    ),
  };

  function bench(more: Record<string, string | number> = {}) {
    const folder = tree('sys/bus/iio/devices/iio:device0', { ...attributes, ...more });
    mkdirSync(join(root, 'dev'), { recursive: true });
    const path = join(root, 'dev', 'iio:device0');
    if (!existsSync(path)) spawnSync('mkfifo', [path]);
    const kernel = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const time = new VirtualTime();
    const instrument = new Ina226Iio({ root, time });
    const send = (...records: [shunt: number, bus: number, time_ns: number][]) => {
      const bytes = Buffer.alloc(16 * records.length);
      for (const [k, [shunt, bus, time_ns]] of records.entries()) {
        bytes.writeInt16LE(shunt, 16 * k);
        bytes.writeUInt16LE(bus, 16 * k + 2);
        bytes.writeBigInt64LE(BigInt(time_ns), 16 * k + 8);
      }
      writeSync(kernel, bytes);
      return bytes;
    };
    return { folder, kernel, time, instrument, send, collected: new Collected(instrument) };
  }

  async function start(b: ReturnType<typeof bench>) {
    await b.instrument.open();
    await b.instrument.configure({ ...one, rate_Hz: 100 });
    await b.instrument.start();
  }

  // For 100 Hz: 4 averages of 1.1 ms each.
  const period_ns = 8.8e6;

  it('are configured as the rate demands, with monotonic time stamps', async () => {
    const b = bench();
    await start(b);
    const read = (name: string) => readFileSync(join(b.folder, name), 'utf8');
    expect([
      read('in_oversampling_ratio'),
      read('in_voltage0_integration_time'),
      read('in_voltage1_integration_time'),
      read('in_allow_async_readout'),
      read('current_timestamp_clock'),
      read('scan_elements/in_voltage0_en'),
      read('scan_elements/in_power2_en'),
      read('buffer/enable'),
    ]).toEqual(['4', '0.001100', '0.001100', '0', 'monotonic', '1', '0', '1']);
    await b.instrument.stop();
    expect(read('buffer/enable')).toBe('0');
    closeSync(b.kernel);
  });

  it('understand the shunt of old and new drivers', async () => {
    for (const in_shunt_resistor of ['10000', '0.010000000']) {
      const b = bench({ in_shunt_resistor });
      await b.instrument.open();
      await b.instrument.configure(one);
      closeSync(b.kernel);
    }
  });

  it('give each record its interval, negative shunts included, however reads cut them', async () => {
    const b = bench();
    await start(b);
    const t0 = 1e9;
    b.send([4000, 2640, t0], [-4000, 2641, t0 + period_ns]);
    const [third] = [Buffer.alloc(16)];
    third.writeInt16LE(32767, 0);
    third.writeBigInt64LE(BigInt(t0 + 2 * period_ns), 8);
    writeSync(b.kernel, third.subarray(0, 5));
    await b.time.advance(20);
    writeSync(b.kernel, third.subarray(5));
    await b.time.advance(20);
    await b.instrument.stop();
    const [block] = b.collected.blocks();
    expect([...block!.current!]).toEqual([1, -1, 32767 * 2.5e-4].map(Math.fround));
    expect(block!.voltage![0]).toBe(Math.fround(3.3));
    expect([...block!.startTicks!]).toEqual([t0 - period_ns, t0, t0 + period_ns]);
    expect([...block!.flags!]).toEqual([0, 0, 2]);
    closeSync(b.kernel);
  });

  it('make a gap of results that the kernel skipped', async () => {
    const b = bench();
    await start(b);
    b.send([1, 1, 1e9], [1, 1, 1e9 + 4 * period_ns]);
    await b.time.advance(20);
    await b.instrument.stop();
    expect(b.collected.gaps()).toMatchObject([{ firstTick: 1e9, count: 3, cause: 'dropped' }]);
    closeSync(b.kernel);
  });

  it.each<[string, (b: ReturnType<typeof bench>) => void, string]>([
    ['fall silent', () => {}, 'device.stalled'],
    ['go back in time', (b) => b.send([1, 1, 5e9], [1, 1, 4e9]), 'device.protocol'],
  ])('that %s end the stream with a gap and an error within 2 s', async (_name, ruin, code) => {
    const b = bench();
    await start(b);
    b.send([1, 1, 1e9]);
    ruin(b);
    await b.time.advance(1500);
    expect(b.collected.error).toMatchObject({ code });
    expect(b.collected.gaps().at(-1)).toMatchObject({ count: null });
    await b.instrument.close();
    closeSync(b.kernel);
  });
});
