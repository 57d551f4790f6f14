import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { DeviceError } from '../../signal/errors.ts';
import { openSerial } from '../../transport/serial.ts';
import { realTime, within } from '../../transport/time.ts';
import { PluginReader, watchedRegisters } from './plugin-events.ts';
import { icountShift, QemuTimeline } from './timeline.ts';
import type { QemuBuild } from './toolchain.ts';

const start_ms = 10_000;
const stop_ms = 2000;

/** A micro:bit in QEMU, running the firmware. */
export interface QemuMachine {
  /** The DUT's serial port (a PTY of QEMU's) with everything that the DUT does on its own clock. */
  dut: QemuTimeline;
  /** The firmware runs from here on. */
  boot(): Promise<void>;
  /** Ends QEMU. Idempotent; never rejects. */
  close(): Promise<void>;
}

/**
 * Starts QEMU with the firmware loaded and halted. Virtual time is the count of executed instructions; it stands still
 * while the firmware waits for a command.
 * @throws DeviceError `dependency.missing`, `qemu.start`
 */
export async function startQemu(build: QemuBuild, qemu: string): Promise<QemuMachine> {
  const watches = Object.entries(watchedRegisters).map(([letter, address]) => `at=${address}:${letter}`);
  const child = spawn(
    qemu,
    [
      ...['-M', 'microbit', '-kernel', build.firmware, '-display', 'none', '-serial', 'pty', '-qmp', 'stdio'],
      ...['-icount', `shift=${icountShift},sleep=off`, '-plugin', [build.plugin, 'fd=3', ...watches].join(',')],
      // QEMU looks only once a second whether somebody has opened the PTY: the boot text would be lost.
      '-S',
    ],
    { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] },
  );
  const output = new Output(child);
  // QEMU would outlive a process that ends under way.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const events = (child.stdio[3] as Readable).setEncoding('utf8');
  // A plugin that cannot be loaded never opens its end.
  events.on('error', () => {});

  let dut: QemuTimeline | null = null;
  const close = async () => {
    process.off('exit', kill);
    await dut?.close();
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill();
      await within(realTime, stop_ms, exited, () => new Error('still there')).catch(kill);
    }
  };
  try {
    const path = await output.match(/redirected to (\S+)/);
    const timeline = new QemuTimeline(await openSerial(path, { baudRate: 115_200 }));
    dut = timeline;
    const reader = new PluginReader();
    events.on('data', (chunk: string) => timeline.push(reader.push(chunk)));
    // It greets before it has loaded the firmware, and answers after.
    child.stdin!.write('{"execute":"qmp_capabilities","id":"ready"}\n');
    await output.match(/"id": *"ready"/);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    dut,
    boot: async () => {
      child.stdin!.write('{"execute":"cont","id":"boot"}\n');
      await output.match(/"id": *"boot"/);
    },
    close,
  };
}

/** QEMU's standard output and error, in which one waits for something. */
class Output {
  #text = '';
  #failure: DeviceError | null = null;
  readonly #waiting = new Set<() => void>();

  constructor(child: ChildProcess) {
    const take = (chunk: Buffer) => {
      this.#text = (this.#text + chunk.toString('latin1')).slice(-65_536);
      this.#wake();
    };
    child.stdout!.on('data', take);
    child.stderr!.on('data', take);
    child.stdin!.on('error', () => {});
    child.once('error', (cause) => this.#fail(child.spawnfile, `it cannot be started: ${cause.message}`));
    child.once('exit', (code, signal) =>
      this.#fail(child.spawnfile, `it ended (${signal ?? `exit code ${code}`}): ${this.#text.trim().slice(-500)}`),
    );
  }

  /** The first group of `pattern`, or the match. @throws DeviceError `qemu.start` where QEMU ends or stays silent */
  match(pattern: RegExp): Promise<string> {
    const found = new Promise<string>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(this.#text);
        if (match === null && this.#failure === null) return;
        this.#waiting.delete(look);
        if (match === null) reject(this.#failure);
        else resolve(match[1] ?? match[0]);
      };
      this.#waiting.add(look);
      look();
    });
    return within(realTime, start_ms, found, () => failure('QEMU', `it does not say ${pattern.source}`));
  }

  #fail(where: string, problem: string): void {
    this.#failure = failure(where, problem);
    this.#wake();
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}

function failure(where: string, problem: string): DeviceError {
  return new DeviceError('qemu.start', {
    where,
    problem,
    remedy: 'docs/how-to-qemu.md says which versions were tested and how to choose another QEMU',
  });
}
