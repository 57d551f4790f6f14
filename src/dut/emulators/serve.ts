import { Random } from '../../plant/random.ts';
import { UsageError } from '../../signal/errors.ts';
import { memoryPair } from '../../transport/memory.ts';
import { openPty } from '../../transport/pty.ts';
import { realTime } from '../../transport/time.ts';
import { virtualBenchmarks } from '../virtual/benchmarks.ts';
import { DutEmulator, type DutFault, type EmulatedNetwork } from './dut.ts';
import { IoManagerEmulator } from './io-manager.ts';
import { emulatedNetwork } from './networks.ts';
import { simulatedSound, simulatedSoundFile, WakewordEar, wakewordNetwork } from './wakeword.ts';
import { WorldServer } from './world-server.ts';

/** What goes wrong on request; a name that ends in `=` takes a number, one that ends in `@` a command. */
const dutFaults = {
  silent: 'it never says anything',
  'slow=': 'each answer comes so many ms late',
  echo: 'it sends back what it receives',
  'boot-noise=': 'so many bytes of rubbish before the boot text',
  'pieces=': 'output leaves in pieces of so many bytes',
  'garble=': 'N bytes in a million are changed, lost or doubled',
  'lost-line-end=': 'N line ends in a million are lost',
  'error@': 'it answers this command with e-[...]',
  'half-line@': 'it falls silent inside the answer to this command',
  'no-ready@': 'it does not end its answer to this command',
  'stray-ready@': 'an m-ready too many before the answer to this command',
  'reboot@': 'it restarts at this command',
  'vanish@': 'its port is closed at this command',
  'mute@': 'it does not answer this command',
  'lost-bytes@': 'it loses a byte of this command (db)',
} as const;

/** The recording of the streaming benchmark. */
const wholeSound_s = 1200;

export interface ServedDut {
  /** Path of its serial port. */
  address: string;
  close(): Promise<void>;
}

export const ioManagerKinds = ['uno', 'interface-board'] as const;

/**
 * Serves an emulated DUT on a PTY until it is closed; with `ioManager`, the port is that of an IO manager with the DUT behind it.
 * What the DUT does outside its port is served beside it (`world-messages.ts`).
 * @throws UsageError for an unknown model or fault; DeviceError where there are no PTYs
 */
export async function serveDut(options: {
  model: string;
  mode: 'energy' | 'performance';
  faults: readonly string[];
  ioManager?: (typeof ioManagerKinds)[number];
  /** Length of the made-up sound that an interface board has; absent: that of the benchmark. */
  sound_s?: number;
}): Promise<ServedDut> {
  const network = networkOf(options.model);
  if (network === wakewordNetwork && options.ioManager !== 'interface-board') {
    throw new UsageError('usage.model', {
      where: options.model,
      problem: 'listens to a sound that only the interface board plays',
      remedy: 'use `joulemark emulate io-manager --kind interface-board`',
    });
  }
  const faults = options.faults.map(parseDutFault);
  const pty = await openPty();
  const { ioManager } = options;
  const world = new WorldServer();
  const [boardSide, dutSide] = memoryPair('DUT behind the IO manager');
  const duration_s = options.sound_s ?? wholeSound_s;
  const board =
    ioManager === undefined
      ? null
      : new IoManagerEmulator(pty.device, boardSide, {
          kind: ioManager,
          files: network === wakewordNetwork ? { [simulatedSoundFile(duration_s)]: { duration_s } } : {},
          onPlay: () => ear.hear(simulatedSound(duration_s), (realTime.now_ns() - emulator.start_ns) / 1e9),
        });
  /** A time of the DUT as the board counts it, which is a little older. */
  const ofBoard_s = (time_s: number) => time_s + (emulator.start_ns - board!.start_ns) / 1e9;
  const ear = new WakewordEar(
    {
      wakeword: (polarity, at_s) => board?.edge(polarity, ofBoard_s(at_s)),
      processing: (polarity, at_s) => board?.dutyEdge(polarity, ofBoard_s(at_s)),
    },
    world,
  );
  const emulator = new DutEmulator(board === null ? pty.device : dutSide, {
    network,
    mode: options.mode,
    faults,
    random: new Random(1),
    outside: world,
    onListen: (isListening, at_s) => ear.listen(isListening, at_s),
    // The interface board is wired to the pin of the wakeword instead.
    onEdge: (polarity, time_s) => ioManager === 'uno' && board?.edge(polarity, ofBoard_s(time_s)),
  });
  try {
    await world.listen(pty.path, emulator);
  } catch (error) {
    emulator.stop();
    await pty.device.close();
    throw error;
  }
  // Without its port there is no device, and the port's name may be another's soon.
  void pty.device.closed.then(() => world.close());
  return {
    address: pty.path,
    close: async () => {
      emulator.stop();
      board?.stop();
      await world.close();
      await pty.device.close();
    },
  };
}

/** @throws UsageError for an unknown model */
function networkOf(model: string): EmulatedNetwork {
  if (model === wakewordNetwork.model) return wakewordNetwork;
  const benchmarks: Record<string, (typeof virtualBenchmarks)[keyof typeof virtualBenchmarks] | undefined> =
    virtualBenchmarks;
  const benchmark = benchmarks[model];
  if (benchmark !== undefined) return emulatedNetwork(benchmark);
  throw new UsageError('usage.model', {
    where: model,
    problem: 'there is no emulated DUT that runs it',
    remedy: `choose one of ${[...Object.keys(virtualBenchmarks), wakewordNetwork.model].join(', ')}`,
  });
}

/** @throws UsageError for an unknown fault */
export function parseDutFault(text: string): DutFault {
  const match = /^([a-z-]+)(?:([=@])(.+))?$/.exec(text);
  const [, kind = '', mark = '', rest = ''] = match ?? [];
  const n = Number(rest);
  const isNumber = mark !== '=' || (Number.isSafeInteger(n) && n >= 0);
  if (!(`${kind}${mark}` in dutFaults) || !isNumber) {
    const names = Object.keys(dutFaults).map((name) => name.replace(/=$/, '=N').replace(/@$/, '@COMMAND'));
    throw new UsageError('emulator.fault', {
      where: `fault ${text}`,
      problem: 'there is no such fault',
      remedy: `choose from: ${names.join(', ')}`,
    });
  }
  switch (kind) {
    case 'slow':
      return { kind, delay_s: n / 1000 };
    case 'boot-noise':
    case 'pieces':
      return { kind, bytes: Math.max(1, n) };
    case 'garble':
    case 'lost-line-end':
      return { kind, probability: n / 1e6 };
    case 'silent':
    case 'echo':
      return { kind };
    default:
      return { kind: kind as 'error', at: rest };
  }
}
