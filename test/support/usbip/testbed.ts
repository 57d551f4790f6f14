import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PYTHON = '/usr/bin/python3';

/** Why tests over an emulated USB bus cannot run here, or null where they can. */
export const noUsbBus: string | null = await (async () => {
  if (process.platform !== 'linux') return 'umockdev exists for Linux only';
  const wrapper = spawnSync('umockdev-wrapper', ['true']);
  if (wrapper.error || wrapper.status !== 0) return 'umockdev is not installed';
  const probe = spawnSync(PYTHON, ['-c', "import gi; gi.require_version('UMockdev', '1.0')"]);
  if (probe.error || probe.status !== 0) return 'gir1.2-umockdev-1.0 or python3-gi is not installed';
  try {
    await import('usb');
  } catch {
    return 'the optional package usb cannot be loaded';
  }
  return null;
})();

/** A process of its own that sees the device of a USB/IP server as a USB device of the system. */
export class UsbBedClient {
  readonly #child: ChildProcess;
  readonly #replies: unknown[] = [];
  #waiting: ((reply: unknown) => void)[] = [];
  /** What the client said without being asked. */
  readonly notices: unknown[] = [];
  readonly exited: Promise<number | null>;

  /** `script`, in `folder`, is run with `args` on the test bed that shows the server at `port`. */
  constructor(port: number, script: string, args: readonly string[], folder: string = import.meta.dirname) {
    this.#child = spawn(
      'umockdev-wrapper',
      [PYTHON, join(folder, 'testbed.py'), String(port), process.execPath, join(folder, script), ...args],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    this.exited = new Promise((resolve) => this.#child.once('exit', resolve));
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const reply = JSON.parse(line) as object;
      if (!('result' in reply) && !('error' in reply)) this.notices.push(reply);
      else if (this.#waiting.length > 0) this.#waiting.shift()!(reply);
      else this.#replies.push(reply);
    });
    this.exited.then(() => {
      for (const take of this.#waiting.splice(0))
        take({ error: { code: 'client.exited', message: 'the client ended' } });
    });
  }

  /** Sends a command and waits for its answer: `{result}` or `{error}`. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever the script answers
  ask(...command: unknown[]): Promise<any> {
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`);
    return this.reply();
  }

  /** The next answer. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever the script answers
  reply(): Promise<any> {
    if (this.#replies.length > 0) return Promise.resolve(this.#replies.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async end(): Promise<void> {
    this.#child.stdin!.end();
    if (this.#child.exitCode !== null) return;
    const timer = setTimeout(() => this.#child.kill(), 5000);
    await this.exited;
    clearTimeout(timer);
  }
}
