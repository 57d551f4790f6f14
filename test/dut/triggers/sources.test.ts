import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import { afterAll, describe, expect, test } from 'vitest';
import { simulatedInput } from '../../../src/dut/emulators/index.ts';
import {
  ControlLineSource,
  checkPulse,
  DutMessageSource,
  GpioSource,
  InstrumentPinSource,
  IoTimestampSource,
  type TriggerSource,
} from '../../../src/dut/triggers/index.ts';
import type { Edge, Progress } from '../../../src/signal/types.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { temporaryFolder } from '../../support/energyrunner-folder.ts';
import { codeOf, directDut, relayedDut } from '../support.ts';

const { folder, remove } = temporaryFolder();
afterAll(remove);

function listen(source: TriggerSource) {
  const edges: Edge[] = [];
  const progress: Progress[] = [];
  let ended: 'completed' | Error | null = null;
  source.edges$.subscribe({
    next: (chunk) => (chunk.kind === 'edges' ? edges.push(...chunk.edges) : progress.push(chunk)),
    error: (error) => {
      ended = error;
    },
    complete: () => {
      ended = 'completed';
    },
  });
  return { edges, progress, ended: () => ended };
}

describe('a profile whose pulse is shorter than the source sees', () => {
  const source = (shortestPulse_s: number | null) => ({ ...new DutMessageSource(9600).describe(), shortestPulse_s });

  test('is refused, with both lengths', () => {
    expect(() => checkPulse(source(1e-3), 50e-6, 'kws01')).toThrow(
      /sees pulses of 1000 us and more; kws01 has pulses of 50 us/,
    );
    expect(() => checkPulse(source(null), 50e-6, 'kws01')).toThrow(/nothing says/);
    expect(() => checkPulse(source(50e-6), 50e-6, 'kws01')).not.toThrow();
  });
});

describe('a pin of the instrument', () => {
  test('gives the edges of its own channel and clock', async () => {
    const chunks$ = new Subject<{ kind: string }>();
    const clock = { id: 'instrument', tickHz: 1e6, kind: 'instrument', epoch_ns: null } as const;
    const source = new InstrumentPinSource(chunks$, { channel: 'D7', clock, resolution_s: 1e-6 });
    const heard = listen(source);
    await source.start();
    const edge = (channel: string, tick: number) => ({
      clock: 'instrument',
      tick,
      u_ticks: null,
      channel,
      polarity: 'fall',
      seq: 0,
    });
    chunks$.next({ kind: 'edges', edges: [edge('D6', 1), edge('D7', 2)] } as never);
    chunks$.next({ kind: 'block' });
    chunks$.next({ kind: 'progress', clock: 'instrument', upTo: 9 } as never);
    await source.stop();
    expect(heard.edges.map(({ tick }) => tick)).toEqual([2]);
    expect(heard.progress.map(({ upTo }) => upTo)).toEqual([9]);
    expect(heard.ended()).toBe('completed');
    expect(source.describe().shortestPulse_s).toBe(1e-6);
  });
});

describe('a GPIO line of the host', () => {
  /** A program that behaves like gpiomon of a major version. */
  const gpiomon = (name: string, version: string, body: string) => {
    const path = join(folder, name);
    writeFileSync(
      path,
      `#!/bin/sh\nif [ "$1" = --version ]; then echo "gpiomon (libgpiod) ${version}"; exit 0; fi\n${body}\n`,
    );
    chmodSync(path, 0o755);
    return path;
  };
  const source = (program: string) => new GpioSource({ chip: '/dev/gpiochip0', line: 5, program });
  const settled = async (condition: () => boolean) => {
    for (let k = 0; k < 500 && !condition(); k++) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  test('gives kernel times from libgpiod 1 and from libgpiod 2', async () => {
    for (const [name, version, fall] of [
      ['gpiomon1', 'v1.6.3', '0'],
      ['gpiomon2', 'v2.1', '2'],
    ] as const) {
      const body = `printf '1 12.000000005\\n${fall} 12.5'; sleep 0.05; printf '00000000\\nnoise\\n'; exec sleep 30`;
      const gpio = source(gpiomon(name, version, body));
      const heard = listen(gpio);
      await gpio.start();
      await settled(() => heard.edges.length === 2);
      await gpio.stop();
      expect(heard.edges).toMatchObject([
        { clock: 'host', tick: 12_000_000_005, polarity: 'rise', channel: 'gpiochip0:5', seq: 0 },
        { tick: 12_500_000_000, polarity: 'fall', seq: 1 },
      ]);
      expect(heard.ended()).toBe('completed');
    }
  });

  test('tells why gpiomon ended', async () => {
    const gpio = source(gpiomon('denied', 'v1.6.3', 'echo "error: Permission denied" >&2; exit 1'));
    const heard = listen(gpio);
    await gpio.start();
    await settled(() => heard.ended() !== null);
    expect((heard.ended() as unknown as { code: string }).code).toBe('device.permission');
    await gpio.stop();
  });

  test('is refused where gpiomon is missing or unknown', async () => {
    expect(await codeOf(source(join(folder, 'no-such-program')).start())).toBe('device.missing');
    expect(await codeOf(source(gpiomon('odd', 'v9.0', '')).start())).toBe('trigger.gpio');
  });
});

describe('the timer of the UNO', () => {
  test('gives falling edges on its own clock', async () => {
    const { time, client, manager, emulator } = relayedDut({ kind: 'uno' });
    await time.run(client.open());
    await time.run(client.load(simulatedInput(490, 1, 1)));
    expect(new IoTimestampSource(manager, 'falling').describe().clock.latencyBound_s).toBeNull();
    await time.run(manager.measureRoundTrip());
    const source = new IoTimestampSource(manager, 'falling');
    expect(source.describe().clock.latencyBound_s).toBe(manager.roundTrip_s);
    const heard = listen(source);
    await time.run(source.start());
    await time.run(client.infer(4, 1));
    await time.run(source.stop());
    const { start_s, end_s } = emulator.windows[0];
    expect(heard.edges.length).toBe(2);
    expect((heard.edges[1].tick - heard.edges[0].tick) / 1e6).toBeCloseTo(end_s - start_s, 5);
    expect(heard.edges.every(({ polarity }) => polarity === 'fall')).toBe(true);
    const delays_s = heard.edges.map(({ arrival_ns }, k) => arrival_ns! / 1e9 - [start_s, end_s][k]!);
    expect(Math.min(...delays_s)).toBeGreaterThanOrEqual(0);
    expect(Math.min(...delays_s)).toBeLessThanOrEqual(manager.roundTrip_s!);
  });

  test('goes on where its counter wraps', async () => {
    const { time, manager, boardSide } = relayedDut({ kind: 'uno' });
    await time.run(manager.open());
    const source = new IoTimestampSource(manager, 'change');
    const heard = listen(source);
    await time.run(source.start());
    await boardSide.write(Buffer.from('m-lap-us-4294967290\r\nm-lap-us-4\r\n'));
    await time.advance(1);
    expect(heard.edges.map(({ tick, polarity }) => [tick, polarity])).toEqual([
      [4_294_967_290, 'fall'],
      [4_294_967_300, 'rise'],
    ]);
  });
});

describe('messages of the DUT', () => {
  test('are edges at their arrival, and say that they are coarse', async () => {
    const source = new DutMessageSource(9600);
    const heard = listen(source);
    const { time, client, emulator } = directDut({ mode: 'energy' }, { onLine: (line) => source.heard(line) });
    await time.run(client.open());
    await time.run(client.load(simulatedInput(490, 1, 1)));
    await source.start();
    await time.run(client.infer(10, 1));
    const { start_s, end_s } = emulator.windows[0];
    expect(heard.edges.map(({ polarity }) => polarity)).toEqual(['rise', 'fall']);
    expect(Math.abs(heard.edges[0].tick / 1e9 - start_s)).toBeLessThan(0.03);
    expect(Math.abs(heard.edges[1].tick / 1e9 - end_s)).toBeLessThan(0.03);
    expect(source.describe().isCoarse).toBe(true);
  });
});

describe('a control line of a serial port', () => {
  test('gives edges between two answers, with the width between them as uncertainty', async () => {
    const time = new VirtualTime();
    const levelAt = (ms: number) => ms >= 10.5 && ms < 20.5;
    const source = new ControlLineSource({
      port: 'port',
      line: 'cts',
      time,
      read: async () => ({ cts: levelAt(time.now_ns() / 1e6), dsr: false }),
    });
    const heard = listen(source);
    await time.run(source.start());
    await time.advance(30);
    await source.stop();
    await time.advance(5);
    expect(heard.edges.map(({ tick, polarity }) => [tick / 1e6, polarity])).toEqual([
      [10.5, 'rise'],
      [20.5, 'fall'],
    ]);
    expect(heard.edges[0].u_ticks).toBeCloseTo(1e6 / Math.sqrt(12), 3);
    expect(source.describe().shortestPulse_s).toBe(2e-3);
  });

  test('that cannot be read is refused', async () => {
    const time = new VirtualTime();
    const source = new ControlLineSource({
      port: 'port',
      line: 'dsr',
      time,
      read: async () => {
        throw new Error('Inappropriate ioctl for device');
      },
    });
    expect(await codeOf(source.start())).toBe('trigger.control-line');
  });
});
