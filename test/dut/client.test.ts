import { describe, expect, test } from 'vitest';
import { DutClient } from '../../src/dut/client.ts';
import { DirectLink } from '../../src/dut/command-port.ts';
import { simulatedInput } from '../../src/dut/emulators/index.ts';
import { wakewordNetwork } from '../../src/dut/emulators/wakeword.ts';
import { Random } from '../../src/plant/random.ts';
import type { ByteStream } from '../../src/transport/byte-stream.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { VirtualTime } from '../../src/transport/time.ts';
import { codeOf, directDut, kws } from './support.ts';

const input = simulatedInput(490, 7, 3);

describe('a client and a DUT on its own port', () => {
  test('asks who it is', async () => {
    const { time, client } = directDut();
    expect(await time.run(client.open())).toEqual({
      name: 'SIMULATED device',
      profile: 'ULPMark for tinyML Firmware V0.0.1',
      model: 'kws01',
      mode: 'performance',
    });
  });

  test('downloads an input byte for byte, with progress', async () => {
    const { time, client, emulator } = directDut();
    const progress: number[] = [];
    await time.run(client.open());
    await time.run(client.load(input, (sent) => progress.push(sent)));
    expect(emulator.input).toEqual(input);
    expect(progress[0]).toBe(31);
    expect(progress.at(-1)).toBe(490);
    expect(progress.length).toBe(Math.ceil(490 / 31));
    expect(await time.run(client.readBack(490))).toEqual(Buffer.from(input));
  });

  test('times a window by the laps of the DUT in performance mode', async () => {
    const { time, client, emulator } = directDut();
    await time.run(client.open());
    await time.run(client.load(input));
    const answer = await time.run(client.infer(20, 1));
    expect(answer.fields).toEqual(kws.answer(input));
    expect(answer.scores.indexOf(Math.max(...answer.scores))).toBe(7);
    const { start_s, end_s } = emulator.windows[0];
    expect(answer.laps_us.length).toBe(2);
    expect((answer.laps_us[1]! - answer.laps_us[0]!) / 1e6).toBeCloseTo(end_s - start_s, 5);
    expect(end_s - start_s).toBeGreaterThan(20 * kws.inference_s);
  });

  test('gets no laps in energy mode, and pulses instead', async () => {
    const edges: number[] = [];
    const { time, client } = directDut({
      mode: 'energy',
      onEdge: (polarity, time_s) => polarity === 'fall' && edges.push(time_s),
    });
    await time.run(client.open());
    expect(client.identity.mode).toBe('energy');
    expect(await time.run(client.timestamp())).toBeNull();
    await time.run(client.load(input));
    const answer = await time.run(client.infer(5, 1));
    expect(answer.laps_us).toEqual([]);
    expect(edges.length).toBe(4);
    expect(edges[3]! - edges[2]!).toBeCloseTo(5 * kws.inference_s + 50e-6, 9);
  });

  test('reads help, timestamps and results', async () => {
    const { time, client } = directDut();
    await time.run(client.open());
    expect((await time.run(client.help())).join('\n')).toContain('timestsamp');
    const first = await time.run(client.timestamp());
    expect(await time.run(client.timestamp())).toBeGreaterThan(first!);
    await time.run(client.load(input));
    const { fields } = await time.run(client.infer(1, 0));
    expect((await time.run(client.results())).fields).toEqual(fields);
  });

  test('waits as long as a slow network takes', async () => {
    const { time, client } = directDut({ network: { ...kws, inference_s: 25 } });
    await time.run(client.open());
    await time.run(client.load(input));
    const answer = await time.run(client.infer(20, 1));
    expect(answer.laps_us[1]! - answer.laps_us[0]!).toBeGreaterThan(499e6);
  });
});

describe('a client survives', () => {
  test('a DUT that reboots when its port opens', async () => {
    const { time, client, notices } = directDut({ boot_s: 2.5 });
    await time.run(client.open());
    expect(notices.map(({ code }) => code)).toContain('rebooted');
    await time.run(client.load(input));
    expect((await time.run(client.infer(1, 0))).scores.length).toBe(12);
  });

  test('noise before the boot text', async () => {
    const { time, client } = directDut({ faults: [{ kind: 'boot-noise', bytes: 300 }], random: new Random(4) });
    expect((await time.run(client.open())).model).toBe('kws01');
  });

  test('a DUT that echoes', async () => {
    const { time, client, emulator, notices } = directDut({ faults: [{ kind: 'echo' }] });
    await time.run(client.open());
    await time.run(client.load(input));
    expect((await time.run(client.infer(2, 1))).fields).toEqual(kws.answer(input));
    expect(emulator.input).toEqual(input);
    expect(notices.filter(({ code }) => code === 'echo').length).toBe(1);
  });

  test('an m-ready too many, anywhere', async () => {
    for (const at of ['profile', 'db load', 'db', 'infer', 'timestamp']) {
      const { time, client, emulator } = directDut({ faults: [{ kind: 'stray-ready', at, times: 1 }] });
      await time.run(client.open());
      await time.run(client.load(input));
      expect(emulator.input, at).toEqual(input);
      expect((await time.run(client.infer(2, 1))).fields, at).toEqual(kws.answer(input));
    }
  });

  test('a DUT that answers slowly, and a name that was asked for twice', async () => {
    const { time, client } = directDut({ faults: [{ kind: 'slow', delay_s: 1.5 }] });
    expect((await time.run(client.open())).name).toBe('SIMULATED device');
    await time.run(client.load(input.subarray(0, 62)));
  });

  test('a line that comes in pieces', async () => {
    const { time, client } = directDut({ faults: [{ kind: 'pieces', bytes: 1 }] });
    expect((await time.run(client.open())).model).toBe('kws01');
  });

  test('a download of which the DUT loses bytes or refuses a block, by beginning again', async () => {
    for (const kind of ['lost-bytes', 'error'] as const) {
      const { time, client, emulator, notices } = directDut({ faults: [{ kind, at: 'db', times: 1 }] });
      await time.run(client.open());
      await time.run(client.load(input));
      expect(emulator.input).toEqual(input);
      expect(notices.map(({ code }) => code)).toContain('load-again');
    }
  });

  test('rubbish that another program left in the command buffer of the DUT', async () => {
    const { time, client, host } = directDut();
    await time.advance(200);
    await host.write(Buffer.from('db 00112'));
    expect((await time.run(client.open())).model).toBe('kws01');
  });

  test('a garbled line without ever giving a false answer', async () => {
    let intact = 0;
    let asked = 0;
    for (let seed = 0; seed < 60; seed++) {
      const { time, client, notices } = directDut(
        {
          faults: [
            { kind: 'garble', probability: 0.002 },
            { kind: 'lost-line-end', probability: 0.02 },
          ],
          random: new Random(seed),
        },
        { scores: 12, limits: { command_ms: 2000, open_ms: 4000, infer_ms: 4000 } },
      );
      const run = (async () => {
        await client.open();
        await client.load(input.subarray(0, 62));
        return client.infer(3, 1);
      })();
      try {
        const { scores } = await time.run(run);
        // A digit that the line turned into another digit cannot be seen; anything else can.
        const differing = scores.filter((score, k) => score.toFixed(3) !== kws.answer(input.subarray(0, 62))[k]);
        expect(differing.length).toBeLessThanOrEqual(1);
        intact++;
      } catch (error) {
        expect((error as { code?: string }).code).toMatch(/^(?:device|dut)\./);
      }
      if (notices.some(({ code }) => code === 'results-again')) asked++;
    }
    expect(intact).toBeGreaterThan(20);
    expect(asked).toBeGreaterThan(0);
  });
});

describe('a client gives a typed error within its time limit', () => {
  const seconds = async (time: VirtualTime, work: Promise<unknown>) => {
    const begun_ns = time.now_ns();
    const code = await time.run(codeOf(work));
    return { code, seconds: (time.now_ns() - begun_ns) / 1e9 };
  };

  test('when the DUT says nothing', async () => {
    const { time, client } = directDut({ faults: [{ kind: 'silent' }] });
    const outcome = await seconds(time, client.open());
    expect(outcome.code).toBe('device.silent');
    expect(outcome.seconds).toBeLessThanOrEqual(8.1);
  });

  test('when it falls silent at any step', async () => {
    for (const [at, limit_s] of [
      ['profile', 5],
      ['db load', 5],
      ['db', 5],
      ['infer', 40],
      ['timestamp', 5],
    ] as const) {
      const { time, client } = directDut({ faults: [{ kind: 'mute', at }] });
      const outcome = await seconds(
        time,
        (async () => {
          await client.open();
          await client.timestamp();
          await client.load(input);
          await client.infer(10, 1);
        })(),
      );
      expect(outcome.code, at).toBe('device.silent');
      expect(outcome.seconds, at).toBeLessThan(limit_s + 3);
    }
  });

  test('when it answers half a line and falls silent, and says which half', async () => {
    const { time, client } = directDut({ faults: [{ kind: 'half-line', at: 'profile' }] });
    await expect(time.run(client.open())).rejects.toThrow(/m-rea/);
  });

  test('when it answers with e-[...] at any step', async () => {
    for (const at of ['profile', 'db load', 'db', 'infer', 'timestamp', 'results']) {
      const { time, client } = directDut({ faults: [{ kind: 'error', at, text: 'no such luck' }] });
      const work = (async () => {
        await client.open();
        await client.timestamp();
        await client.load(input);
        await client.infer(10, 1);
        await client.results();
      })();
      await expect(time.run(work), at).rejects.toMatchObject({
        code: 'dut.error',
        message: expect.stringContaining('e-[no such luck]'),
      });
    }
  });

  test('when it never ends its answer', async () => {
    const { time, client } = directDut({ faults: [{ kind: 'no-ready', at: 'infer' }] });
    await time.run(client.open());
    await time.run(client.load(input));
    expect(await time.run(codeOf(client.infer(1, 0)))).toBe('device.silent');
  });

  test('when it restarts in the middle of a run', async () => {
    const { time, client } = directDut({ faults: [{ kind: 'reboot', at: 'infer' }] });
    await time.run(client.open());
    await time.run(client.load(input));
    expect(await time.run(codeOf(client.infer(10, 1)))).toBe('dut.rebooted');
  });

  test('when its port is closed under way', async () => {
    const { time, client } = directDut({ faults: [{ kind: 'vanish', at: 'infer' }] });
    await time.run(client.open());
    await time.run(client.load(input));
    expect(await time.run(codeOf(client.infer(10, 1)))).toBe('device.vanished');
  });

  test('when a write never comes back', async () => {
    const time = new VirtualTime();
    const stuck: ByteStream = {
      name: 'stuck port',
      closed: new Promise(() => {}),
      write: () => new Promise(() => {}),
      onData: () => () => {},
      close: async () => {},
    };
    const client = new DutClient(new DirectLink(stuck, 31, time), { time });
    const outcome = await seconds(time, client.open());
    expect(outcome).toEqual({ code: 'device.stalled', seconds: 2.5 });
  });

  test('when it floods the line with noise, with messages, or with m-ready', async () => {
    for (const line of [
      'hello',
      'm-ready',
      'm-lap-us-1',
      'm-results-[0.1,0.9]',
      'm-infer-start-1',
      '\xff\xfe',
      'x'.repeat(999),
    ]) {
      const time = new VirtualTime();
      const [host, device] = memoryPair('flood');
      const client = new DutClient(new DirectLink(host, 31, time), { time });
      let isOver = false;
      const flood = () => {
        if (isOver) return;
        void device.write(Buffer.from(`${line}\r\n`.repeat(20), 'latin1')).catch(() => {});
        time.after(5, flood);
      };
      flood();
      const outcome = await seconds(time, client.open());
      isOver = true;
      expect(outcome.code, line).toMatch(/^(?:device|dut)\./);
      expect(outcome.seconds, line).toBeLessThan(20);
      await client.close();
    }
  });

  test('for an input and for counts that no DUT takes', async () => {
    const { time, client } = directDut();
    await time.run(client.open());
    expect(await codeOf(client.load(new Uint8Array(0)))).toBe('dut.input-size');
    expect(await codeOf(client.load(new Uint8Array(27_649)))).toBe('dut.input-size');
    expect(await codeOf(client.infer(0, 1))).toBe('dut.count');
    expect(await codeOf(client.infer(1, -1))).toBe('dut.count');
    expect(await codeOf(client.infer(1.5, 1))).toBe('dut.count');
  });
});

describe('the emulated DUT', () => {
  test('answers as the firmware does', async () => {
    const { time, client, lines } = directDut();
    await time.run(client.open());
    const say = async (command: string) => {
      lines.length = 0;
      await time.run(codeOf(client.command(command)));
      return lines.filter((line) => line !== 'm-ready');
    };
    expect(await say('results')).toEqual([`m-results-[${kws.answer(new Uint8Array()).join(',')}]`]);
    expect(await say('nonsense 1 2')).toEqual(['e-[Unknown command: nonsense]']);
    expect(await say('start')).toEqual(['e-[Unknown command: start]']);
    expect(await say('db')).toEqual(["e-[Command 'db' requires a subcommand]"]);
    expect(await say('db load')).toEqual(["e-[Command 'db load' requires the # of bytes]"]);
    expect(await say('db load 0')).toEqual(["e-[Command 'db load' must be >0 bytes]"]);
    expect(await say('db load 27649')).toEqual(['Supplied buffer size 27649 exceeds maximum of 27648']);
    expect(await say('db load -5')).toEqual(['Supplied buffer size -5 exceeds maximum of 27648']);
    expect(await say('db load 3')).toEqual(['m-[Expecting 3 bytes]']);
    expect(await say('db 0')).toEqual(['e-[Insufficent number of hex digits]']);
    expect(await say('db zz')).toEqual(["e-[Invalid hex digit 'zz']"]);
    expect(await say('db 0aff42ee')).toEqual(['m-load-done']);
    expect(await say('db print')).toEqual(['m-buffer-0a-ff-42', '']);
    expect(await say('db load 8')).toEqual(['m-[Expecting 8 bytes]']);
    expect(await say('db 11')).toEqual([]);
    expect(await say('db print 2 1')).toEqual(['m-buffer-11-ff-42-00-00-00-00-00']);
    expect(await say('infer 1 0')).toContain('Input db has 1 elemented, expected 490');
    expect(await say('infer 0')).toEqual(['e-[Inference iterations must be >0]']);
    expect(await say('infer 1 -1')).toEqual(['e-[Inference warmup must be >=0]']);
    expect(await say('infer 2')).toContain('m-warmup-start-10');
    expect(await say('infer 1 none')).toContain('m-warmup-start-0');
  });

  test('ends the answer to `stop` with a list that is not empty, which the MLCommons runner could not read', async () => {
    const { time, client, lines } = directDut({ network: wakewordNetwork });
    await time.run(client.open());
    lines.length = 0;
    await time.run(client.command('stop'));
    expect(lines.join('')).toMatch(/Streaming stopped\.target activations: \[-?\d+(?:,-?\d+)*\]m-ready$/);
  });

  test('keeps 80 characters of a command', async () => {
    const { time, client, host, lines } = directDut();
    await time.run(client.open());
    lines.length = 0;
    await host.write(Buffer.from(`${'x'.repeat(81)}%`));
    await time.advance(100);
    await time.run(client.timestamp());
    expect(lines[0]).toBe(`e-[Unknown command: ${'x'.repeat(80)}]`);
  });
});
