import { DutClient, type DutClientOptions, type DutNotice } from '../../src/dut/client.ts';
import { DirectLink } from '../../src/dut/command-port.ts';
import { DutEmulator, type DutEmulatorOptions, firstByteNetwork } from '../../src/dut/emulators/index.ts';
import { IoManagerEmulator, type IoManagerEmulatorOptions } from '../../src/dut/emulators/io-manager.ts';
import { IoManager } from '../../src/dut/io-manager.ts';
import { directBlockBytes } from '../../src/dut/protocol.ts';
import { virtualBenchmarks } from '../../src/dut/virtual/benchmarks.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { VirtualTime } from '../../src/transport/time.ts';

export const kws = firstByteNetwork(virtualBenchmarks.kws01);

/** A client and an emulated DUT over memory, in virtual time. */
export function directDut(dut: Partial<DutEmulatorOptions> = {}, client: DutClientOptions = {}) {
  const time = new VirtualTime();
  const [host, device] = memoryPair('dut');
  const emulator = new DutEmulator(device, { network: kws, mode: 'performance', time, ...dut });
  const notices: DutNotice[] = [];
  const lines: string[] = [];
  const dutClient = new DutClient(new DirectLink(host, directBlockBytes, time), {
    time,
    onNotice: (notice) => notices.push(notice),
    onLine: (line) => lines.push(line.text),
    ...client,
  });
  return { time, host, device, emulator, client: dutClient, notices, lines };
}

/** A client and an emulated DUT with an emulated IO manager between them. */
export function relayedDut(
  io: IoManagerEmulatorOptions,
  dut: Partial<DutEmulatorOptions> = {},
  client: DutClientOptions = {},
) {
  const time = new VirtualTime();
  const [host, boardSide] = memoryPair('io');
  const [boardToDut, device] = memoryPair('dut');
  const board = new IoManagerEmulator(boardSide, boardToDut, { time, ...io });
  const emulator = new DutEmulator(device, {
    network: kws,
    mode: 'energy',
    time,
    onEdge: (polarity, time_s) => board.edge(polarity, time_s),
    ...dut,
  });
  const manager = new IoManager(host, { time });
  const notices: DutNotice[] = [];
  const dutClient = new DutClient(manager.dutLink(), { time, onNotice: (notice) => notices.push(notice), ...client });
  return { time, host, boardSide, board, emulator, manager, client: dutClient, notices };
}

/** The code of the error that `work` rejects with. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'no error';
}
