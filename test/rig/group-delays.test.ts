import { describe, expect, it } from 'vitest';
import { decodeRunHeader, encodeRunHeader } from '../../src/capture/run-header.ts';
import { withGroupDelays } from '../../src/rig/group-delays.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { simulateRun } from '../../src/rig/virtual-rig.ts';
import { scoreRun } from '../../src/scoring/score-run.ts';
import type { StreamInfo } from '../../src/signal/types.ts';
import { memoryRecording } from '../support/memory-recording.ts';

const rigOf = (text: string) => parseRig(`version: 1\nprofile: per-inference\ninferences: 20\n${text}`, 'test');

const streamsOf = (text: string) => simulateRun(rigOf(text), 1).streams;

function refusal(text: string, streams?: StreamInfo[]) {
  try {
    const rig = rigOf(text);
    withGroupDelays(streams ?? simulateRun(rigOf(''), 1).streams, rig);
  } catch (error) {
    return error as Error & { code: string; remedy: string };
  }
  throw new Error('not refused');
}

describe('group delays of the rig file', () => {
  it('are one for the stream, with or without an uncertainty', () => {
    expect(streamsOf('instrument: {group_delay_s: 3.0e-6}')[0]).toMatchObject({
      groupDelay_s: 3e-6,
      u_groupDelay_s: null,
    });
    expect(streamsOf('instrument: {group_delay_s: {value: -2.0e-6, u: 1.0e-7}}')[0]).toMatchObject({
      groupDelay_s: -2e-6,
      u_groupDelay_s: 1e-7,
    });
    expect(streamsOf('')[0]!.groupDelay_s).toBe(0);
    expect(streamsOf('')[0]).not.toHaveProperty('u_groupDelay_s');
  });

  it('are those of ranges by name or index; the others keep what the stream has', () => {
    const [stream] = streamsOf('instrument: {group_delay_s: {5 mA: 1.2e-5, 3: {value: 3.0e-6, u: 2.0e-7}}}');
    expect(stream!.ranges.map(({ groupDelay_s }) => groupDelay_s)).toEqual([
      undefined,
      undefined,
      12e-6,
      3e-6,
      undefined,
    ]);
    expect(stream!.ranges[3]!.u_groupDelay_s).toBe(2e-7);
    expect(stream!.ranges[2]!.u_groupDelay_s).toBeNull();
    expect(stream!.groupDelay_s).toBe(0);
  });

  it('are refused for a range that does not exist, and for ranges of a source without a sample rate', () => {
    const unknown = refusal('instrument: {group_delay_s: {7 mA: 1.0e-6}}');
    expect(unknown.code).toBe('rig.group-delay');
    expect(unknown.remedy).toContain('`50 mA`');
    const irregular = streamsOf('').map((stream) => ({ ...stream, ticksPerSample: null }));
    expect(refusal('instrument: {group_delay_s: {5 mA: 1.0e-6}}', irregular).remedy).toMatch(/one number/);
    expect(refusal('instrument: {group_delay_s: late}').message).toMatch(/group_delay_s`: must be a delay in s/);
    expect(refusal('instrument: {settings: {analog_delay_s: [1.0e-6]}}').message).toMatch(/exactly 5 items/);
  });

  it('are kept by the header of a run, and headers without them are read as before', () => {
    const run = simulateRun(rigOf('instrument: {group_delay_s: {5 mA: {value: 1.2e-5, u: 1.0e-6}}}'), 1);
    const header = { simulated: true, clocks: run.clocks, plan: run.plan, provenance: {}, attachments: [] };
    for (const streams of [run.streams, streamsOf('')]) {
      expect(decodeRunHeader(encodeRunHeader({ ...header, streams }), 'run.json').streams).toEqual(streams);
    }
  });

  it('of ranges that differ bring the windows of a late instrument back to the truth, within what they state', async () => {
    const late = 'analog_delay_s: [1.36e-4, 1.36e-4, 1.36e-4, 3.0e-6, 0]';
    const declared = '{5 mA: {value: 1.36e-4, u: 1.0e-6}, 50 mA: {value: 3.0e-6, u: 1.0e-6}}';
    const rig = (delay: string) => rigOf(`instrument: {settings: {rate_Hz: 50000, ${late}}${delay}}`);
    const score = async (delay: string) => (await scoreRun(memoryRecording(simulateRun(rig(delay), 3)))).document;
    const document = await score(`, group_delay_s: ${declared}`);
    for (const { truth, method } of document.windows) {
      expect(method).toBe('guard-band/3');
      expect(Math.abs(truth!.error_rel)).toBeLessThan(truth!.tolerance_rel);
    }
    const component = document.quantities.energyPerInference!.components!.find(({ id }) => id === 'group-delay')!;
    expect(component.scope).toBe('rig');
    expect(component.u).toBeGreaterThan(0);
    const unknown = await score(', group_delay_s: {5 mA: 1.36e-4, 50 mA: 3.0e-6}');
    expect(unknown.quantities.energyPerInference!.components!.find(({ id }) => id === 'group-delay')!.u).toBeNull();
    const undeclared = await score('');
    expect(undeclared.windows.some(({ truth }) => Math.abs(truth!.error_rel) > truth!.tolerance_rel)).toBe(true);
    expect(undeclared.quantities.energyPerInference!.components!.some(({ id }) => id === 'group-delay')).toBe(false);
  });
});
