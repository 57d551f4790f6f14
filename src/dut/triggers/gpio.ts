import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readdir, readlink } from 'node:fs/promises';
import { Subject } from 'rxjs';
import { DeviceError } from '../../signal/errors.ts';
import type { EdgeBatch, Polarity, Progress } from '../../signal/types.ts';
import { realTime, type TimeSource, wait, within } from '../../transport/time.ts';
import { EdgeMaker, hostClock, type TriggerDescription, type TriggerSource } from './trigger-source.ts';

export interface GpioOptions {
  /** `gpiochip0`, or its path. */
  chip: string;
  /** Offset of the line on its chip. */
  line: number;
  /** Absent: the value of `defaultShortestPulse_s`. */
  shortestPulse_s?: number;
  /** The program; a test gives its own. */
  program?: string;
  time?: TimeSource;
}

/**
 * A loaded host merges edges that are close together, without a gap in their numbers; 1 ms apart none were lost on an idle
 * one (measured with the kernel's gpio-sim, 100 of 100).
 */
const defaultShortestPulse_s = 1e-3;
const start_ms = 5000;
/** gpiomon does not say when it has the line; where nothing shows it, it is given this long. */
const ready_ms = 500;
const lookEvery_ms = 10;
/** A line of gpiomon is some forty characters. */
const maxLineLength = 1000;

/** Arguments of libgpiod 1 and 2, whose command lines differ. */
const argumentsOf: Record<1 | 2, (chip: string, line: number) => string[]> = {
  1: (chip, line) => ['--line-buffered', '--format=%e %s.%n', chip, String(line)],
  2: (chip, line) => ['--event-clock=monotonic', '--format=%e %S', '--chip', chip, String(line)],
};
/** What they print for a rise and a fall. */
const polaritiesOf: Record<1 | 2, Record<string, Polarity>> = {
  1: { '1': 'rise', '0': 'fall' },
  2: { '1': 'rise', '2': 'fall' },
};

/**
 * Edges of a GPIO line of this computer (Linux GPIO character device), stamped by the kernel on the monotonic clock. It runs
 * gpiomon (libgpiod 1 or 2) as a child, which may be killed at any time without holding up this process.
 */
export class GpioSource implements TriggerSource {
  readonly edges$ = new Subject<EdgeBatch | Progress>();
  readonly #options: GpioOptions;
  readonly #program: string;
  readonly #time: TimeSource;
  readonly #maker: EdgeMaker;
  #child: ChildProcess | null = null;
  #isStopping = false;

  constructor(options: GpioOptions) {
    this.#options = options;
    this.#program = options.program ?? 'gpiomon';
    this.#time = options.time ?? realTime;
    this.#maker = new EdgeMaker(hostClock.id, this.#channel);
  }

  get #channel(): string {
    return `${this.#options.chip.replace(/^.*\//, '')}:${this.#options.line}`;
  }

  describe(): TriggerDescription {
    return {
      kind: 'gpio',
      label: `GPIO line ${this.#channel}`,
      channel: this.#channel,
      clock: hostClock,
      resolution_s: 1e-9,
      // Interrupt latency: never negative, and no bound on a kernel that is not real-time.
      latency_s: { least: 0, most: null },
      shortestPulse_s: this.#options.shortestPulse_s ?? defaultShortestPulse_s,
      polarities: ['rise', 'fall'],
      isCoarse: false,
    };
  }

  async start(): Promise<void> {
    const version = await this.#version();
    const child = spawn(this.#program, argumentsOf[version](this.#options.chip, this.#options.line), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    let complaint = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(0, maxLineLength);
    });
    let partial = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      const arrival_ns = this.#time.now_ns();
      const lines = (partial + chunk.toString('latin1')).split('\n');
      partial = lines.pop()!.slice(-maxLineLength);
      const edges = lines.flatMap((line) => this.#edgeOf(line, version, arrival_ns) ?? []);
      if (edges.length > 0) this.edges$.next({ kind: 'edges', edges });
    });
    child.on('close', () => {
      if (this.#isStopping) this.edges$.complete();
      else this.edges$.error(this.#failure(complaint.trim() || 'it ended'));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(this.#failure(cause.message)));
    });
    await this.#ready(child);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) {
      this.edges$.complete();
      return;
    }
    const closed = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
    });
    child.kill('SIGTERM');
    await closed;
  }

  /** Edges from before the child has the line are lost: the kernel shows among its files when it does. */
  async #ready(child: ChildProcess): Promise<void> {
    for (let passed_ms = 0; passed_ms < ready_ms && child.exitCode === null; passed_ms += lookEvery_ms) {
      if (await holdsLine(child.pid!)) return;
      await wait(this.#time, lookEvery_ms);
    }
  }

  #edgeOf(line: string, version: 1 | 2, arrival_ns: number) {
    const match = /^\s*(\d)\s+(\d{1,12})\.(\d{1,9})\s*$/.exec(line);
    const polarity = match ? polaritiesOf[version][match[1]!] : undefined;
    if (!match || polarity === undefined) return null;
    const tick = Number(match[2]) * 1e9 + Number(match[3]!.padStart(9, '0'));
    return this.#maker.edge(tick, polarity, null, arrival_ns);
  }

  /** libgpiod's major version. */
  async #version(): Promise<1 | 2> {
    const asked = new Promise<string>((resolve, reject) => {
      execFile(this.#program, ['--version'], (cause, stdout) => {
        if (cause) reject(this.#failure(cause.message));
        else resolve(stdout);
      });
    });
    const text = await within(this.#time, start_ms, asked, () => this.#failure('it does not tell its version'));
    const major = /v?(\d+)\.\d+/.exec(text)?.[1];
    if (major === '1' || major === '2') return major === '1' ? 1 : 2;
    throw this.#failure(`its version is not known: ${text.slice(0, 60).trim()}`);
  }

  #failure(problem: string): DeviceError {
    const isMissing = problem.includes('ENOENT') || /no such file/i.test(problem);
    const isForbidden = /permission/i.test(problem);
    return new DeviceError(isForbidden ? 'device.permission' : isMissing ? 'device.missing' : 'trigger.gpio', {
      where: `${this.#program} on ${this.#channel}`,
      problem,
      remedy: isForbidden
        ? 'add yourself to the group of the GPIO chip (often `gpio`) and log in again'
        : 'install libgpiod (Debian: apt install gpiod), and check chip and line with `gpioinfo`',
    });
  }
}

/** Has the process a line of a GPIO chip open? (Linux: `anon_inode:gpio-line` or, by the older interface, `gpio-event`.) */
async function holdsLine(pid: number): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  const files = await readdir(folder).catch(() => []);
  const targets = await Promise.all(files.map((file) => readlink(`${folder}/${file}`).catch(() => '')));
  return targets.some((target) => target.includes('gpio-line') || target.includes('gpio-event'));
}
