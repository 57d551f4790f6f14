import type { ByteStream } from '../transport/byte-stream.ts';
import { openPty } from '../transport/pty.ts';
import type { Emulator } from './emulator.ts';
import type { ServedEmulator } from './family.ts';

/**
 * Serves an emulator on a PTY.
 * @throws DeviceError where there are no PTYs
 */
export async function servedOnPty(play: (device: ByteStream) => Emulator): Promise<ServedEmulator> {
  const pty = await openPty();
  const emulator = play(pty.device);
  return {
    emulator,
    address: pty.path,
    close: async () => {
      emulator.stop();
      await pty.device.close();
    },
  };
}
