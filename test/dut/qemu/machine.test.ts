import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DutClient } from '../../../src/dut/client.ts';
import { DirectLink } from '../../../src/dut/command-port.ts';
import { directBlockBytes } from '../../../src/dut/protocol.ts';
import { type QemuMachine, startQemu } from '../../../src/dut/qemu/machine.ts';
import { PluginReader } from '../../../src/dut/qemu/plugin-events.ts';
import { icountShift, type QemuEvent } from '../../../src/dut/qemu/timeline.ts';
import { buildQemuDut, defaultQemuTools, type QemuBuild } from '../../../src/dut/qemu/toolchain.ts';
import { DeviceError } from '../../../src/signal/errors.ts';
import { patternEdges } from '../../../src/signal/m-sequence.ts';
import type { Edge } from '../../../src/signal/types.ts';
import { findPattern, type SyncPattern } from '../../../src/sync/sync-pattern.ts';
import { hooks } from '../../support/c-compiler.ts';
import { noQemu } from '../../support/qemu.ts';
import { referenceAnswer, testSet } from '../../support/small-network.ts';

type EdgeEvent = Extract<QemuEvent, { kind: 'edge' }>;

const instruction_s = 2 ** icountShift * 1e-9;
const instructionsAt = ({ time_s }: QemuEvent) => Math.round(time_s / instruction_s);
const isEdge = (event: QemuEvent): event is EdgeEvent => event.kind === 'edge';
const gaps = (edges: readonly QemuEvent[]) =>
  edges.slice(1).map((edge, k) => instructionsAt(edge) - instructionsAt(edges[k]));

/** Runs `work` against a freshly booted DUT and gives every event since power-on. */
async function withDut(
  build: QemuBuild,
  work: (client: DutClient, lines: string[], machine: QemuMachine) => Promise<void>,
): Promise<QemuEvent[]> {
  const machine = await startQemu(build, defaultQemuTools().qemu);
  const events: QemuEvent[] = [];
  machine.dut.onEvent((event) => events.push(event));
  const lines: string[] = [];
  const client = new DutClient(new DirectLink(machine.dut, directBlockBytes, machine.dut.time), {
    time: machine.dut.time,
    onLine: (line) => lines.push(line.text),
  });
  try {
    await machine.boot();
    await client.open();
    await work(client, lines, machine);
  } finally {
    await client.close();
    await machine.close();
  }
  return events;
}

describe.skipIf(noQemu !== null)(`the DUT in QEMU ${noQemu ?? ''}`, () => {
  const [input] = testSet();
  let energy: QemuBuild;
  let marks: QemuBuild;
  beforeAll(async () => {
    [energy, marks] = await Promise.all([buildQemuDut('energy'), buildQemuDut('marks')]);
  });
  afterAll(async () => {
    await Promise.all([energy?.remove(), marks?.remove()]);
  });

  it('brackets the inferences of an energy run by two falling edges, the same number of instructions apart each time', async () => {
    const lengths: number[] = [];
    for (let run = 0; run < 2; run++) {
      const events = await withDut(energy, async (client, lines) => {
        expect(client.identity).toMatchObject({ model: 'kws01', mode: 'energy' });
        expect(client.identity.name).toContain('SIMULATED');
        await client.load(input.bytes);
        expect((await client.infer(30, 2)).fields).toEqual(referenceAnswer(input.bytes));
        expect(lines.filter((line) => line.startsWith('m-lap'))).toEqual([]);
      });
      const edges = events.filter(isEdge);
      // The line goes up once; then a pulse at boot and two around the window.
      expect(edges.map((edge) => edge.polarity[0]).join('')).toBe('rfrfrfr');
      const [pulse] = gaps(edges.slice(1));
      expect(pulse * instruction_s).toBeGreaterThanOrEqual(50e-6);
      expect(pulse * instruction_s).toBeLessThan(52e-6);
      const falls = edges.filter((edge) => edge.polarity === 'fall');
      lengths.push(instructionsAt(falls[2]) - instructionsAt(falls[1]));
    }
    expect(lengths[1]).toBe(lengths[0]);
  });

  it('brings every byte at the time at which the firmware sent it', async () => {
    let heard = '';
    const events = await withDut(energy, async (client, _, machine) => {
      const arrivals: number[] = [];
      const stop = machine.dut.onData((chunk) => {
        heard += Buffer.from(chunk).toString('latin1');
        arrivals.push(machine.dut.time.now_ns());
      });
      await client.command('profile');
      stop();
      expect(arrivals).toEqual([...arrivals].sort((a, b) => a - b));
    });
    const sent = events.filter((event) => event.kind === 'sent');
    const text = 'm-profile-[ULPMark for tinyML Firmware V0.0.1]\r\nm-model-[kws01]\r\nm-ready\r\n';
    expect(heard).toBe(text);
    expect(Buffer.from(sent.slice(-text.length).map(({ byte }) => byte)).toString('latin1')).toBe(text);
    // 9600 baud, which the firmware keeps itself.
    const times = sent.slice(-text.length).map(({ time_s }) => time_s);
    const perCharacter_s = (times.at(-1)! - times[0]) / (text.length - 1);
    expect(Math.abs(perCharacter_s / (10 / 9600) - 1)).toBeLessThan(0.01);
  });

  it('holds the line high during each inference in performance mode, and its laps agree with the count of instructions', async () => {
    let laps: number[] = [];
    const events = await withDut(marks, async (client) => {
      expect(client.identity.mode).toBe('performance');
      await client.load(input.bytes);
      const answer = await client.infer(20, 1);
      expect(answer.fields).toEqual(referenceAnswer(input.bytes));
      laps = answer.laps_us;
    });
    const edges = events.filter(isEdge);
    expect(edges.map((edge) => edge.polarity[0]).join('')).toBe('rf'.repeat(20));
    const lengths = gaps(edges);
    // Each inference takes the same instructions, and so does each rest (but for the loop's own end).
    expect(new Set(lengths.filter((_, k) => k % 2 === 0)).size).toBe(1);
    expect(new Set(lengths.filter((_, k) => k % 2 === 1)).size).toBe(1);
    // The first lap is printed after it was taken: `m-lap-us-N` and the line end take their time on the wire.
    const between_us = (edges.at(-1)!.time_s - edges[0].time_s) * 1e6;
    expect(laps[1] - laps[0]).toBeGreaterThan(between_us);
    expect(laps[1] - laps[0]).toBeLessThan(between_us + 2000 + 24 * 90);
  });

  it('answers an input that has the wrong size with the model’s own complaint, and lives on', async () => {
    await withDut(marks, async (client, lines) => {
      await client.load(input.bytes.subarray(0, 100));
      await client.infer(1, 0);
      expect(lines).toContain('Input db has 100 elemented, expected 490');
      await expect(client.command('nonsense')).rejects.toThrow(/Unknown command/);
      expect(await client.timestamp()).toBeGreaterThan(0);
    });
  });

  it('says why QEMU does not start, and leaves no process', async () => {
    await expect(startQemu({ ...energy, firmware: '/nowhere.elf' }, defaultQemuTools().qemu)).rejects.toMatchObject({
      code: 'qemu.start',
    });
    await expect(startQemu({ ...energy, plugin: '/nowhere.so' }, defaultQemuTools().qemu)).rejects.toBeInstanceOf(
      DeviceError,
    );
    await expect(startQemu(energy, '/nowhere/qemu')).rejects.toMatchObject({ code: 'qemu.start' });
  });

  it('marks an inference for the instructions that the README promises, and sends the sync pattern in even chips', async () => {
    const firmware = join(energy.firmware, '..', 'cost.elf');
    const include = ['include', 'ports/nrf51'].map((folder) => `-I${join(hooks, folder)}`);
    const sources = ['ports/nrf51-qemu/startup.c', 'test/qemu/cost.c', 'src/jm_sync.c'].map((file) =>
      join(hooks, file),
    );
    execFileSync(defaultQemuTools().armCompiler, [
      ...['-std=c99', '-mcpu=cortex-m0', '-mthumb', '-O2', '-ffreestanding', '-nostdlib', '-nostartfiles'],
      ...['-DJM_NRF51_TURNS_PER_16_US=125u', ...include, '-T', join(hooks, 'ports/nrf51-qemu/nrf51.ld')],
      ...[...sources, '-lgcc', '-o', firmware],
    ]);
    const machine = await startQemu({ ...energy, firmware }, defaultQemuTools().qemu);
    const pattern: SyncPattern = { order: 7, chip_s: 100e-6 };
    /** Two inferences, and a pulse with the rise before and the fall after it. */
    const before = 8;
    const edges: EdgeEvent[] = [];
    const enough = new Promise<void>((resolve) => {
      machine.dut.onEvent((event) => {
        if (isEdge(event)) edges.push(event);
        if (edges.length === before + patternEdges(pattern.order).length) resolve();
      });
    });
    await machine.boot();
    await enough;
    await machine.close();
    const cost = gaps(edges);
    const promised =
      /empty inference is (\d+) instruction from store to\s+store, one that calls an empty function (\d+)/.exec(
        readFileSync(join(hooks, 'README.md'), 'utf8'),
      );
    expect([cost[0], cost[2]]).toEqual([Number(promised?.[1]), Number(promised?.[2])]);

    const clock = { id: 'dut', tickHz: 1 };
    const seen = edges.map(({ polarity, time_s }, seq): Edge => {
      return { clock: clock.id, tick: time_s, u_ticks: instruction_s, channel: 'trigger', polarity, seq };
    });
    const [found, ...others] = findPattern(seen, pattern, clock);
    expect(others).toEqual([]);
    expect(found.seen).toBe(found.of);
    expect(found.model.map(0)).toBeCloseTo(edges[before].time_s, 6);
    // A chip is its waiting time and the few instructions that find the next one.
    const chip_s = (found.model.map(127) - found.model.map(0)) / 127;
    expect(chip_s).toBeGreaterThan(100e-6);
    expect(chip_s).toBeLessThan(103e-6);
  });
});

describe.skipIf(noQemu !== null || process.platform !== 'linux')(`a killed process ${noQemu ?? ''}`, () => {
  it('takes its QEMU with it', async () => {
    const build = await buildQemuDut('energy');
    const watches = 'at=50000508:R';
    const parent = spawn(process.execPath, [
      '-e',
      `const { spawn } = require('node:child_process');
       const qemu = spawn(${JSON.stringify(defaultQemuTools().qemu)}, ['-M', 'microbit', '-kernel', ${JSON.stringify(build.firmware)},
         '-display', 'none', '-serial', 'null', '-monitor', 'none', '-plugin', ${JSON.stringify(`${build.plugin},fd=3,${watches}`)}],
         { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
       qemu.stdio[3].once('data', () => console.log(qemu.pid));`,
    ]);
    const pid = Number(await new Promise((resolve) => parent.stdout.once('data', (text) => resolve(String(text)))));
    const isAlive = () =>
      existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    expect(isAlive()).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(isAlive, { timeout: 5000 }).toBe(false);
    await build.remove();
  });
});

describe('reading the plugin', () => {
  it('gives the same events whatever the chunks', () => {
    const text = 'R 1554\nT 1600\nF 612899\n';
    const whole = new PluginReader().push(text);
    expect(whole).toEqual([
      { kind: 'edge', polarity: 'rise', instructions: 1554 },
      { kind: 'sent', instructions: 1600 },
      { kind: 'edge', polarity: 'fall', instructions: 612_899 },
    ]);
    const reader = new PluginReader();
    expect([...text].flatMap((character) => reader.push(character))).toEqual(whole);
  });

  it('throws on a line that the plugin cannot have written', () => {
    expect(() => new PluginReader().push('X 12\n')).toThrow(/plugin wrote/);
  });
});
