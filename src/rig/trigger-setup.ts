import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TimedLine } from '../dut/line-queue.ts';
import {
  ControlLineSource,
  checkPulse,
  DutMessageSource,
  GpioSource,
  IoTimestampSource,
  type RecordedLines,
  RecordingFileSource,
  type TriggerDescription,
  type TriggerSource,
} from '../dut/triggers/index.ts';
import { UsageError } from '../signal/errors.ts';
import type { RunPlan } from '../signal/recording.ts';
import type { EdgeBatch } from '../signal/types.ts';
import type { OpenDut } from './dut-connection.ts';
import type { Rig } from './rig-file.ts';

/** A trigger source of its own, beside the instrument. */
export interface TriggerSetup {
  source: TriggerSource;
  /** The plan with the channel and the pairing of this source. */
  plan: RunPlan;
  /** Takes each line of the DUT, where the source listens to them. */
  heard: ((line: TimedLine) => void) | null;
  /** Edges that come in a file after the run, and what says which they are. */
  late: { lines: RecordedLines; edges(interrupt?: AbortSignal): AsyncIterable<EdgeBatch> } | null;
}

/** The slowest that a DUT speaks; its messages are as coarse as that. */
const slowestBaud = 9600;

/**
 * The trigger source of a rig; null where the instrument has the edges.
 * @throws UsageError where the rig does not have what the source needs, or the source may miss the pulses of the plan
 */
export function setUpTrigger(
  rig: Rig,
  dut: OpenDut,
  plan: RunPlan,
  window_s: number,
  onNotice: (text: string) => void,
): TriggerSetup | null {
  const { source: kind, gpio } = rig.trigger;
  const refuse = (problem: string, remedy: string) =>
    new UsageError('rig.trigger', { where: `trigger.source: ${kind}`, problem, remedy });
  const pulsed = (source: TriggerSource): TriggerSetup => {
    const description = source.describe();
    checkPulse(description, plan.pulse_s, rig.profile);
    return { source, plan: { ...plan, channel: description.channel }, heard: null, late: null };
  };
  switch (kind) {
    case 'instrument':
      return null;
    case 'io-manager':
      if (dut.io?.kind !== 'uno') throw refuse('there is no UNO in between', 'add `via: io-manager` under `dut:`');
      return pulsed(new IoTimestampSource(dut.io, 'falling', rig.trigger.channel));
    case 'gpio':
      if (gpio === undefined)
        throw refuse('nothing says which line', 'add `gpio: {chip: ..., line: ...}` under `trigger:`');
      return pulsed(
        new GpioSource({
          chip: gpio.chip,
          line: gpio.line,
          ...(gpio.shortest_pulse_s === undefined ? {} : { shortestPulse_s: gpio.shortest_pulse_s }),
        }),
      );
    case 'cts':
    case 'dsr':
      return pulsed(new ControlLineSource({ port: dut.port.name, line: kind, read: () => dut.port.inputLines() }));
    case 'dut-messages': {
      const source = new DutMessageSource(rig.dut.baud ?? slowestBaud);
      const description = source.describe();
      checkPulse(description, window_s, rig.profile);
      return {
        source,
        plan: {
          ...plan,
          channel: description.channel,
          pairing: 'level-high',
          pulse_s: window_s,
          holdOff_s: 0,
          minWidth_s: 0,
        },
        heard: (line) => source.heard(line),
        late: null,
      };
    }
    case 'recording': {
      const { file, channel, wait_s } = rig.trigger;
      if (file === undefined) throw refuse('nothing says which file', 'add `file:` under `trigger:`');
      if (!existsSync(dirname(file)))
        throw refuse(`there is no folder for ${file}`, 'make the folder, or name another');
      const trigger = rig.trigger.file_channel ?? channel;
      const lines = { trigger, shared: rig.trigger.shared_channel ?? trigger, input: channel };
      const source = new RecordingFileSource(file, { lines, wait_s, onWait: onNotice });
      // How short a pulse it shows is known when it is there.
      const check = (description: TriggerDescription) => checkPulse(description, plan.pulse_s, rig.profile);
      return {
        source,
        plan: { ...plan, channel: source.describe().channel },
        heard: null,
        late: { lines, edges: (interrupt) => source.collect(check, interrupt) },
      };
    }
  }
}
