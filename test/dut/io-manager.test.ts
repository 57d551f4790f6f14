import { describe, expect, test } from 'vitest';
import { simulatedInput } from '../../src/dut/emulators/index.ts';
import { parseDutyCycle } from '../../src/dut/io-manager.ts';
import { codeOf, kws, relayedDut } from './support.ts';

const input = simulatedInput(490, 4, 8);

describe('a DUT behind the interface board', () => {
  const board = { kind: 'interface-board' } as const;

  test('is reached although the board still holds its boot output', async () => {
    const { time, client } = relayedDut(board);
    await time.advance(500);
    expect(await time.run(client.open())).toMatchObject({ model: 'kws01', name: 'SIMULATED device' });
  });

  test('takes inputs in blocks of 26 bytes and answers as it does directly', async () => {
    const { time, client, emulator } = relayedDut(board);
    const sent: number[] = [];
    await time.run(client.open());
    await time.run(client.load(input, (bytes) => sent.push(bytes)));
    expect(sent[0]).toBe(26);
    expect(emulator.input).toEqual(input);
    expect((await time.run(client.infer(10, 1))).fields).toEqual(kws.answer(input));
  });

  test('gives a typed error where the DUT falls silent, for the board then serves nothing else', async () => {
    const { time, client } = relayedDut(board, { faults: [{ kind: 'mute', at: 'profile' }] });
    expect(await time.run(codeOf(client.open()))).toBe('device.silent');
  });

  test('is one of nothing where the board is silent', async () => {
    const { time, client, board: emulated } = relayedDut(board);
    emulated.stop();
    expect(await time.run(codeOf(client.open()))).toBe('device.silent');
  });
});

describe('the interface board', () => {
  const files = { 'long.wav': { duration_s: 20 } };

  test('tells what it is, and its files', async () => {
    const { time, manager } = relayedDut({ kind: 'interface-board', files });
    expect(await time.run(manager.open())).toBe('interface-board');
    expect(await time.run(manager.files())).toEqual(['long.wav']);
    expect(await time.run(manager.command('checkbaud'))).toEqual(['baud is: 9600']);
    expect(await time.run(manager.command('nothing of the kind'))).toEqual([]);
  });

  test('does not answer where a command goes on with the wrong letter', async () => {
    const { time, manager } = relayedDut({ kind: 'interface-board' });
    expect(await time.run(codeOf(manager.command('names')))).toBe('device.silent');
  });

  test('restarts when its baud rate is set, and is waited for', async () => {
    const { time, manager } = relayedDut({ kind: 'interface-board' });
    await time.run(manager.setBaud(115_200));
    expect(await time.run(manager.command('checkbaud'))).toEqual(['baud is: 115200']);
  });

  test('counts detections with 10 ms of debounce, and the duty cycle, while it plays', async () => {
    const { time, manager, board } = relayedDut({ kind: 'interface-board', files });
    await time.run(manager.open());
    await time.advance(500);
    await time.run(manager.recordDetections());
    const begun_s = time.now_ns() / 1e9;
    for (const at_s of [1, 1.005, 7.25]) board.edge('fall', begun_s + at_s);
    for (let k = 0; k < 9; k++) {
      board.dutyEdge('rise', begun_s + 1 + k);
      board.dutyEdge('fall', begun_s + 1.5 + k);
    }
    await time.run(manager.play('long.wav', 20));
    expect(await time.run(manager.detections())).toEqual([1, 7.25]);
    const duty = await time.run(manager.dutyCycle());
    expect(duty.start_s.length).toBe(9);
    expect(duty.stop_s[8]).toBeCloseTo(9.5, 4);
  });

  test('is not believed where a detection is no time', async () => {
    const { time, manager, board } = relayedDut({ kind: 'interface-board', files });
    await time.run(manager.open());
    await time.advance(500);
    await time.run(manager.recordDetections());
    board.edge('fall', time.now_ns() / 1e9 - 0.3);
    await time.advance(500);
    expect(await time.run(codeOf(manager.detections()))).toBe('io.protocol');
  });

  test('says when it cannot play', async () => {
    const { time, manager } = relayedDut({ kind: 'interface-board' });
    expect(await time.run(codeOf(manager.play('none.wav', 1)))).toBe('io.play');
  });
});

describe('the UNO', () => {
  test('relays at once, also what nobody asked for', async () => {
    const { time, client, manager, emulator } = relayedDut({ kind: 'uno' });
    await time.run(client.open());
    expect(manager.kind).toBe('uno');
    await time.run(client.load(input));
    expect(emulator.input).toEqual(input);
    expect((await time.run(client.infer(3, 1))).fields).toEqual(kws.answer(input));
  });

  test('stamps falling edges in its own microseconds', async () => {
    const { time, client, manager, emulator } = relayedDut({ kind: 'uno' });
    await time.run(client.open());
    await time.run(client.load(input));
    await time.run(manager.enableTimer('falling'));
    const stamps: number[] = [];
    manager.onTimestamp((time_us) => stamps.push(time_us));
    await time.run(client.timestamp());
    await time.run(client.infer(10, 1));
    const { start_s, end_s } = emulator.windows[0]!;
    expect(stamps.length).toBe(3);
    expect((stamps[2]! - stamps[1]!) / 1e6).toBeCloseTo(end_s - start_s, 5);
    await time.run(manager.disableTimer());
    await time.run(client.timestamp());
    expect(stamps.length).toBe(3);
  });

  test('that cuts what the DUT says while the host talks is survived', async () => {
    const { time, client } = relayedDut({ kind: 'uno', isHalfDuplex: true }, { boot_s: 1 });
    expect((await time.run(client.open())).model).toBe('kws01');
  });
});

test('a duty cycle is read in ticks of 10 us, eight times a line', () => {
  expect(
    parseDutyCycle([
      'Duty cycle start times (s)',
      '100000, 200000, ',
      '300000, ',
      'Duty cycle stop times (s)',
      '150000, 250000, ',
      '350000, ',
    ]),
  ).toEqual({ start_s: [1, 2, 3], stop_s: [1.5, 2.5, 3.5] });
});
