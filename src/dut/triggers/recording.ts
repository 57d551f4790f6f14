import { open } from 'node:fs/promises';
import { Subject } from 'rxjs';
import { FormatError, UsageError } from '../../signal/errors.ts';
import type { EdgeBatch, Progress } from '../../signal/types.ts';
import type { LogicRecording } from './logic-recording.ts';
import { openSaleaeCsv } from './saleae-csv.ts';
import { openSigrok } from './sigrok.ts';
import type { TriggerDescription, TriggerSource } from './trigger-source.ts';
import { openVcd } from './vcd.ts';

/**
 * Opens a logic-analyser recording, told by its content: VCD, sigrok session (.sr), Saleae Logic CSV.
 * @throws FormatError where it is none of them or does not follow its format
 */
export async function openLogicRecording(path: string): Promise<LogicRecording> {
  const head = await headOf(path);
  if (head.startsWith('PK\u0003\u0004')) return openSigrok(path);
  if (/^\uFEFF?"?Time ?\[s\]"?,/i.test(head)) return openSaleaeCsv(path);
  if (/^\s*\$[a-z]+\s/.test(head)) return openVcd(path);
  throw new FormatError('logic.unknown', {
    where: path,
    problem: 'no recording of a logic analyser that Joulemark reads: VCD, sigrok session (.sr) or Saleae Logic CSV',
    remedy: 'export the recording in one of these formats',
  });
}

async function headOf(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      if (!(await file.stat()).isFile()) throw new Error('it is no file');
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0);
      return buffer.subarray(0, bytesRead).toString('utf8');
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new FormatError('file.unreadable', {
      where: path,
      problem: `cannot be read (${(cause as Error).message})`,
      remedy: 'check that the path exists and that you may read it',
      cause,
    });
  }
}

/** A recorded line as a trigger source: all its edges come at once when it starts. */
export class RecordingSource implements TriggerSource {
  readonly edges$ = new Subject<EdgeBatch | Progress>();
  readonly #recording: LogicRecording;
  readonly #channel: string;
  #isStopped = false;

  /** @throws UsageError where the recording has no such line */
  constructor(recording: LogicRecording, channel: string) {
    if (!recording.channels.includes(channel)) {
      throw new UsageError('trigger.channel', {
        where: recording.path,
        problem: `there is no line ${channel}`,
        remedy: `choose one of ${recording.channels.slice(0, 30).join(', ')}`,
      });
    }
    this.#recording = recording;
    this.#channel = channel;
  }

  describe(): TriggerDescription {
    const { clock, ticksPerSample, path } = this.#recording;
    const step_s = (ticksPerSample ?? 1) / clock.tickHz;
    return {
      kind: 'recording',
      label: `${this.#channel} in ${path}`,
      channel: this.#channel,
      clock,
      resolution_s: step_s,
      latency_s: { least: 0, most: step_s },
      shortestPulse_s: step_s,
      polarities: ['rise', 'fall'],
      isCoarse: false,
    };
  }

  async start(): Promise<void> {
    for await (const edges of this.#recording.edges(this.#channel)) {
      if (this.#isStopped) return;
      this.edges$.next({ kind: 'edges', edges });
    }
    this.edges$.complete();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.edges$.complete();
  }
}
