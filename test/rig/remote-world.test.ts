import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { worldSocketOf } from '../../src/dut/emulators/world-messages.ts';
import { WorldServer } from '../../src/dut/emulators/world-server.ts';
import { RemoteWorld } from '../../src/rig/remote-world.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import type { DeviceError } from '../../src/signal/errors.ts';
import { realTime } from '../../src/transport/time.ts';

// Any device number will do.
const port = '/dev/null';
const rig = parseRig(`version: 1\ndut: {name: x, connection: ${port}}\n`, 'rig');
const before = process.env.TMPDIR;
const folder = mkdtempSync(join(tmpdir(), 'joulemark-world-'));
beforeAll(() => {
  process.env.TMPDIR = folder;
});
afterAll(() => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  rmSync(folder, { recursive: true, force: true });
});

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** Somebody who listens where an emulator would. */
async function somebody(greet: (socket: Socket) => void): Promise<void> {
  const path = worldSocketOf(port, true)!;
  rmSync(path, { force: true });
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    greet(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  open.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
}

const start_ns = realTime.now_ns();
const line = (value: object) => `${JSON.stringify(value)}\n`;
const hello = line({ kind: 'joulemark-world', version: 1, at_ns: start_ns, current_A: 1e-3, isHigh: true });
const at_ns = (time_s: number) => start_ns + time_s * 1e9;

async function found(): Promise<RemoteWorld> {
  const world = await RemoteWorld.find(rig);
  open.push(() => world!.close());
  return world!;
}

const lossOf = (world: RemoteWorld) => new Promise<DeviceError>((resolve) => world.onLost(resolve));
const until = async (isTrue: () => boolean) => {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe('the world of an emulated DUT in another process', () => {
  test('is not found where nobody serves one, and where there is no port', async () => {
    expect(await RemoteWorld.find(rig)).toBeNull();
    expect(worldSocketOf('/dev/no-such-port')).toBeNull();
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(worldSocketOf(file)).toBeNull();
  });

  test('is not found where a process that was killed left its socket', async () => {
    const path = worldSocketOf(port, true)!;
    const listenAndDie = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(spawnSync(process.execPath, ['-e', listenAndDie]).signal).toBe('SIGKILL');
    expect(await RemoteWorld.find(rig)).toBeNull();
  });

  test('is not found where somebody else listens, or nobody says anything', async () => {
    await somebody((socket) => socket.write('HTTP/1.1 400 Bad Request\n\n'));
    expect(await RemoteWorld.find(rig)).toBeNull();
    await open.pop()!();
    await somebody((socket) => socket.write('x'.repeat(10_000)));
    expect(await RemoteWorld.find(rig)).toBeNull();
    await open.pop()!();
    await somebody(() => {});
    const begun_ns = realTime.now_ns();
    expect(await RemoteWorld.find(rig)).toBeNull();
    expect((realTime.now_ns() - begun_ns) / 1e9).toBeLessThan(4);
  }, 10_000);

  test('is looked for only in a folder that nobody else may enter, and through links to the port', () => {
    const path = worldSocketOf(port, true)!;
    const link = join(folder, 'tty');
    symlinkSync(port, link);
    expect(worldSocketOf(link)).toBe(path);
    chmodSync(dirname(path), 0o755);
    expect(worldSocketOf(port)).toBeNull();
    chmodSync(dirname(path), 0o700);
    expect(worldSocketOf(port)).toBe(path);
  });

  test('shows currents, edges and windows at the times that were said, as far as it was told', async () => {
    await somebody((socket) => {
      socket.write(hello + line({ kind: 'level', at_ns: at_ns(0.1), current_A: 3e-3 }));
      socket.write(line({ kind: 'edge', at_ns: at_ns(0.2), polarity: 'fall' }));
      // The line is low already.
      socket.write(line({ kind: 'edge', at_ns: at_ns(0.25), polarity: 'fall' }));
      socket.write(line({ kind: 'edge', at_ns: at_ns(0.3), polarity: 'rise' }));
      socket.write(line({ kind: 'window', start_ns: at_ns(0.2), end_ns: at_ns(0.4), inferences: 7 }));
      socket.write(line({ kind: 'level', at_ns: at_ns(0.5), current_A: 9e-3 }));
      socket.write(line({ kind: 'cancel', at_ns: at_ns(0.45) }));
      socket.write(line({ kind: 'progress', at_ns: at_ns(0.6) }));
    });
    const world = await found();
    const zero_s = (start_ns - world.start_ns) / 1e9;
    await until(() => world.settled_s() > zero_s + 0.59);
    const { plant } = world;
    expect(plant.integrals(zero_s, zero_s + 0.6).charge_C).toBeCloseTo(0.1 * 1e-3 + 0.5 * 3e-3, 9);
    const edges = plant.edgesBetween(0, zero_s + 0.6);
    expect(edges.map(({ channel, polarity }) => [channel, polarity])).toEqual([
      ['D0', 'fall'],
      ['D0', 'rise'],
    ]);
    expect(edges[0].time_s - zero_s).toBeCloseTo(0.2, 9);
    expect(world.takeWindows().map(({ inferences }) => inferences)).toEqual([7]);
    expect(world.takeWindows()).toEqual([]);
    expect(world.takeLateness_s()).toBe(0);
  });

  test('tells by how much something came too late for whoever read ahead', async () => {
    let writer: Socket | null = null;
    await somebody((socket) => {
      writer = socket;
      socket.write(hello);
    });
    const world = await found();
    const zero_s = (start_ns - world.start_ns) / 1e9;
    world.plant.integrals(0, zero_s + 0.5);
    writer!.write(
      line({ kind: 'level', at_ns: at_ns(0.3), current_A: 5e-3 }) + line({ kind: 'progress', at_ns: at_ns(1) }),
    );
    await until(() => world.settled_s() > zero_s + 0.9);
    expect(world.plant.integrals(zero_s, zero_s + 1).charge_C).toBeCloseTo(0.5 * 1e-3 + 0.5 * 5e-3, 9);
    expect(world.takeLateness_s()).toBeCloseTo(0.2, 6);
    expect(world.takeLateness_s()).toBe(0);
  });

  test('is lost, and stays as it is, when the emulator ends or talks nonsense', async () => {
    for (const [end, problem] of [
      [(socket: Socket) => socket.destroy(), /it has ended/],
      [(socket: Socket) => void socket.write('{"kind":"level"}\n'), /not understood/],
      [(socket: Socket) => void socket.write('y'.repeat(10_000)), /too much/],
    ] as const) {
      await somebody((socket) => {
        socket.write(hello);
        setTimeout(() => end(socket), 50);
      });
      const world = await found();
      const error = await lossOf(world);
      expect(error).toMatchObject({ code: 'emulator.world-lost', message: expect.stringMatching(problem) });
      expect(world.settled_s()).toBe(Number.POSITIVE_INFINITY);
      expect(world.plant.integrals(2, 3).charge_C).toBeCloseTo(1e-3, 9);
      world.power(false);
      for (const close of open.splice(0)) await close();
    }
  });

  test('is lost when the emulator stands still', async () => {
    await somebody((socket) => socket.write(hello));
    expect(await lossOf(await found())).toMatchObject({ message: expect.stringContaining('nothing for 5 s') });
  }, 15_000);

  test('survives whatever it is told', async () => {
    const time = fc.oneof(fc.constant(start_ns), fc.double({ min: 0, max: 2 ** 53, noNaN: true }));
    const message = fc.oneof(
      fc.record({ kind: fc.constant('level'), at_ns: time, current_A: fc.double({ min: 0, max: 1000, noNaN: true }) }),
      fc.record({ kind: fc.constant('edge'), at_ns: time, polarity: fc.constantFrom('rise', 'fall') }),
      fc.record({ kind: fc.constant('cancel'), at_ns: time }),
      fc.record({ kind: fc.constant('window'), start_ns: time, end_ns: time, inferences: fc.integer() }),
      fc.record({ kind: fc.constant('progress'), at_ns: time }),
    );
    const said = fc.oneof(
      { arbitrary: fc.array(message).map((list) => list.map(line).join('')), weight: 3 },
      fc.string(),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    let text = '';
    await somebody((socket) => socket.end(hello + text));
    await fc.assert(
      fc.asyncProperty(said, async (what) => {
        text = what;
        const world = (await RemoteWorld.find(rig))!;
        await lossOf(world);
        // What was told is in the plant, or nothing of it; either can be read.
        world.takeWindows();
        expect(Number.isFinite(world.plant.integrals(0, 3).energy_J)).toBe(true);
        expect(world.takeLateness_s()).toBeGreaterThanOrEqual(0);
        world.close();
      }),
      { numRuns: 60 },
    );
  }, 30_000);
});

describe('an emulated DUT that serves its world', () => {
  /** A DUT of which only the clock goes on. */
  async function served() {
    const server = new WorldServer();
    const made_ns = realTime.now_ns();
    const dut = {
      start_ns: made_ns,
      isOn: true,
      powers: [] as boolean[],
      get settled_s() {
        return (realTime.now_ns() - made_ns) / 1e9;
      },
      powerOn() {
        dut.isOn = true;
        dut.powers.push(true);
      },
      powerOff() {
        dut.isOn = false;
        dut.powers.push(false);
      },
    };
    await server.listen(port, dut);
    open.push(() => server.close());
    return { server, dut };
  }

  test('tells a reader that comes late how things stand, and what lies ahead', async () => {
    const { server, dut } = await served();
    server.level(0, 4e-3);
    server.edge(0, 'fall');
    server.level(0.3, 8e-3);
    server.edge(0.3, 'rise');
    await until(() => dut.settled_s > 0.05);
    const world = await found();
    await until(() => world.settled_s() > 1.4);
    const offset_s = (dut.start_ns - world.start_ns) / 1e9;
    expect(world.plant.levelAt('D0', offset_s + 0.2)).toBe(false);
    expect(world.plant.currentAt(offset_s + 0.2)).toBe(4e-3);
    const [rise] = world.plant.edgesBetween(0, offset_s + 0.35);
    expect(rise.time_s - offset_s).toBeCloseTo(0.3, 8);
    expect(world.plant.currentAt(offset_s + 0.35)).toBe(8e-3);
  });

  test('gives its supply to one reader at a time, and takes it back', async () => {
    const { dut } = await served();
    const first = await found();
    expect(await RemoteWorld.find(rig)).toBeNull();
    first.power(true);
    first.power(false);
    await until(() => !dut.isOn);
    first.close();
    await until(() => dut.isOn);
    expect(dut.powers).toEqual([false, true]);
    const second = await found();
    expect(second.settled_s()).toBeGreaterThan(0);
  });
});
