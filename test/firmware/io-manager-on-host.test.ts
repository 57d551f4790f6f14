import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DutClient } from '../../src/dut/client.ts';
import { DutEmulator, type EmulatedNetwork } from '../../src/dut/emulators/dut.ts';
import { emulatedNetwork, simulatedInput } from '../../src/dut/emulators/networks.ts';
import { IoManager } from '../../src/dut/io-manager.ts';
import { virtualBenchmarks } from '../../src/dut/virtual/benchmarks.ts';
import { openSerial } from '../../src/transport/serial.ts';
import { compileHooks, noCompiler } from '../support/c-compiler.ts';
import { noPty } from '../support/pty.ts';

const reason = noCompiler ?? noPty;
const quick: EmulatedNetwork = { ...emulatedNetwork(virtualBenchmarks.kws01), inference_s: 0.002 };
/** An answer that is longer than the line that the firmware holds back. */
const talkative: EmulatedNetwork = {
  ...quick,
  answer: (input) => Array.from({ length: 60 }, (_, k) => ((input[k]! % 100) / 100).toFixed(3)),
};

/** What the client had to survive, but for a DUT that boots meanwhile. */
const mishaps = (client: DutClient) => Object.keys(client.notices).filter((code) => code !== 'rebooted');

describe.skipIf(reason !== null)(`the IO manager's firmware as a program of this machine ${reason ?? ''}`, () => {
  let program = '';
  const endings: (() => Promise<void> | void)[] = [];
  beforeAll(() => {
    program = compileHooks({
      sources: ['test/host/io_manager_pty.c', 'io-manager/im_core.c'],
      includes: ['io-manager'],
    });
  });
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });

  /** The firmware with an emulated DUT behind it, and our client before it. */
  async function setUp(network: EmulatedNetwork) {
    const firmware: ChildProcess = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
    endings.push(async () => {
      firmware.stdin!.end();
      if (firmware.exitCode === null) await once(firmware, 'exit');
      expect(firmware.exitCode).toBe(0);
    });
    const paths: string[] = [];
    for await (const line of createInterface({ input: firmware.stdout! })) if (paths.push(line) === 2) break;
    const device = await openSerial(paths[1]!, { baudRate: 9600 });
    endings.push(() => device.close());
    const edges_us: { us: number; polarity: string }[] = [];
    const emulator = new DutEmulator(device, {
      network,
      mode: 'energy',
      baud: null,
      boot_s: 0.02,
      onEdge: (polarity, time_s) => {
        const us = Math.round(time_s * 1e6);
        edges_us.push({ us, polarity });
        firmware.stdin!.write(`${polarity === 'fall' ? 'f' : 'r'}${us}\n`);
      },
    });
    endings.push(() => emulator.stop());
    const io = new IoManager(await openSerial(paths[0]!, { baudRate: 115_200 }));
    endings.push(() => io.close());
    const client = new DutClient(io.dutLink(), { scores: network.answer(new Uint8Array(490)).length });
    return { io, client, emulator, edges_us };
  }

  it('relays a whole session: who it is, a download byte for byte, an answer', async () => {
    const { io, client, emulator } = await setUp(quick);
    expect(await io.open()).toBe('uno');
    expect(await client.open()).toMatchObject({ model: 'kws01', mode: 'energy' });
    const input = simulatedInput(490, 7, 3);
    await client.load(input);
    expect(emulator.input).toEqual(input);
    expect((await client.infer(20, 2)).fields).toEqual(quick.answer(input));
    expect(mishaps(client)).toEqual([]);
  });

  it('stamps the edges of the DUT while it relays, falling ones or both', async () => {
    const { io, client, edges_us } = await setUp(quick);
    const stamped: number[] = [];
    io.onTimestamp((us) => stamped.push(us));
    await client.open();
    const input = simulatedInput(490, 2, 1);
    await client.load(input);
    for (const mode of ['falling', 'change'] as const) {
      await io.enableTimer(mode);
      edges_us.length = 0;
      stamped.length = 0;
      await client.timestamp();
      expect((await client.infer(10, 0)).fields).toEqual(quick.answer(input));
      await io.disableTimer();
      await client.timestamp();
      const wanted = edges_us.slice(0, 6).filter(({ polarity }) => mode === 'change' || polarity === 'fall');
      expect(stamped).toEqual(wanted.map(({ us }) => us));
    }
  });

  it('passes a line that is longer than its own buffer on in one piece, also between edges', async () => {
    const { io, client } = await setUp(talkative);
    await client.open();
    await io.enableTimer('change');
    const input = simulatedInput(490, 5, 9);
    await client.load(input);
    expect((await client.infer(10, 1)).fields).toEqual(talkative.answer(input));
    expect(mishaps(client)).toEqual([]);
  });
});
