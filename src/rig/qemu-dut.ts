import { DutClient } from '../dut/client.ts';
import { DirectLink } from '../dut/command-port.ts';
import { IoManagerEmulator } from '../dut/emulators/index.ts';
import { IoManager } from '../dut/io-manager.ts';
import type { TimedLine } from '../dut/line-queue.ts';
import { directBlockBytes } from '../dut/protocol.ts';
import { startQemu } from '../dut/qemu/machine.ts';
import type { QemuTimeline } from '../dut/qemu/timeline.ts';
import { buildQemuDut, type QemuFirmware, type QemuTools } from '../dut/qemu/toolchain.ts';
import { memoryPair } from '../transport/memory.ts';
import type { LineListener, ReachedDut } from './dut-connection.ts';
import type { Rig } from './rig-file.ts';

/** Numbers in an answer of the firmware's network. */
const scores = 12;

/** A DUT in QEMU that has booted, with the way to it; its time is the firmware's own. */
export interface QemuDut extends ReachedDut {
  onEvent: QemuTimeline['onEvent'];
}

/**
 * Builds the firmware and boots it in QEMU.
 * @throws DeviceError as the compiler, QEMU and its port
 */
export async function openQemuDut(mode: QemuFirmware, tools: QemuTools, via: Rig['dut']['via']): Promise<QemuDut> {
  const build = await buildQemuDut(mode, tools);
  let close = () => build.remove();
  try {
    const machine = await startQemu(build, tools.qemu);
    close = async () => {
      await machine.close();
      await build.remove();
    };
    const { dut } = machine;
    let listener: LineListener | null = null;
    const io = via === 'io-manager' ? withIoManager(dut, (line) => listener?.('io', line)) : null;
    const client = new DutClient(io === null ? new DirectLink(dut, directBlockBytes, dut.time) : io.dutLink(), {
      time: dut.time,
      onLine: (line) => listener?.('dut', line),
      scores,
    });
    await machine.boot();
    return {
      client,
      io,
      time: dut.time,
      onLine: (next) => {
        listener = next;
      },
      onEvent: (next) => dut.onEvent(next),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** An emulated UNO between the host and the port of QEMU, which sees the edges of the pin at their exact times. */
function withIoManager(dut: QemuTimeline, onLine: (line: TimedLine) => void): IoManager {
  const [host, boardSide] = memoryPair('IO manager');
  const board = new IoManagerEmulator(boardSide, dut, { kind: 'uno', time: dut.time });
  const zero_s = dut.time.now_ns() * 1e-9;
  dut.onEvent((event) => {
    if (event.kind === 'edge') board.edge(event.polarity, event.time_s - zero_s);
  });
  return new IoManager(host, { time: dut.time, onLine });
}
