import { z } from 'zod';
import {
  checkPulse,
  describeRecording,
  type LogicRecording,
  type RecordedLines,
  recordedEdges,
  recordingClock,
} from '../dut/triggers/index.ts';
import { timestampPulse_s } from '../dut/virtual/index.ts';
import { UsageError } from '../signal/errors.ts';
import type { Recording, RunPlan } from '../signal/recording.ts';

const recordedTrigger = z.object({
  kind: z.literal('recording'),
  lines: z.object({ trigger: z.string(), shared: z.string(), input: z.string() }),
});
const wiredTrigger = z.object({ input: z.string() });
const messageTrigger = z.object({ kind: z.literal('dut-messages') });

/**
 * A run folder with the edges of a logic analyser's recording in place of those that it was to be bracketed by. The folder stays as it
 * is. What the run itself saw of the trigger pin stays too: it relates the two clocks.
 *
 * @param line of the recording on the trigger pin of the DUT; absent: as the run's rig said, or the one named like the run's channel
 * @throws UsageError where the recording is no run folder, the line is not there, or it may miss the pulses of the run
 */
export function withRecordedEdges(run: Recording, recording: LogicRecording, line?: string): Recording {
  if (run.format !== 'joulemark-run' || run.plan === null) {
    throw new UsageError('usage.edges', {
      where: run.path,
      problem: 'is no run folder of Joulemark, and says nothing of what its edges should be',
      remedy: 'score it without --edges',
    });
  }
  const lines = linesOf(run, run.plan, line);
  const description = describeRecording(recording, lines.trigger);
  const plan = planFor(run, run.plan, description.channel);
  // A sync pattern that has a line of its own.
  const syncLines = recording.channels.filter((name) => name === plan.sync?.channel);
  checkPulse(description, plan.pulse_s, plan.profile ?? 'the run');
  return {
    ...run,
    plan,
    clocks: [...run.clocks.filter(({ id }) => id !== recordingClock.id), recordingClock],
    provenance: {
      ...run.provenance,
      trigger: {
        kind: description.kind,
        isCoarse: false,
        label: description.label,
        resolution_s: description.resolution_s,
        latency_s: description.latency_s,
        shortestPulse_s: description.shortestPulse_s,
        lines,
      },
    },
    async *edges() {
      for await (const { kind, edges } of run.edges()) {
        yield { kind, edges: edges.filter(({ clock }) => clock !== recordingClock.id) };
      }
      yield* recordedEdges(recording, lines, syncLines);
    },
  };
}

function linesOf(run: Recording, plan: RunPlan, line: string | undefined): RecordedLines {
  const own = recordedTrigger.safeParse(run.provenance.trigger);
  if (own.success && (line === undefined || line === own.data.lines.trigger)) return own.data.lines;
  const trigger = line ?? plan.channel;
  if (own.success) return { ...own.data.lines, trigger };
  // The instrument may have seen the pin too, where something else bracketed the run.
  const input = wiredTrigger.safeParse(run.provenance.trigger).data?.input ?? plan.channel;
  return { trigger, shared: trigger, input };
}

/** The plan of a run that took messages for edges is put back to the pulses of the pin. */
function planFor(run: Recording, plan: RunPlan, channel: string): RunPlan {
  const isByMessages = plan.pairing === 'level-high' && messageTrigger.safeParse(run.provenance.trigger).success;
  const { sync } = plan;
  const moved = { ...plan, channel, ...(sync?.channel === plan.channel && { sync: { ...sync, channel } }) };
  if (!isByMessages) return moved;
  const pulses = { holdOff_s: timestampPulse_s, minWidth_s: 0, pulse_s: timestampPulse_s };
  return { ...moved, ...pulses, pairing: 'falling-pairs' };
}
