import { describe, expect, it } from 'vitest';
import { instrumentRun, type TimedFault } from '../../src/rig/instrument-run.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { simulateRun } from '../../src/rig/virtual-rig.ts';
import { scoreRun } from '../../src/scoring/score-run.ts';
import type { Recording, WindowTruth } from '../../src/signal/recording.ts';
import type { Chunk, Edge, SampleBlock } from '../../src/signal/types.ts';
import { memoryRecording } from '../support/memory-recording.ts';

const settings: Record<string, string> = { '34465a': '  settings:\n    currentRange: 0.1\n    externalVoltage_V: 3\n' };

interface Wanted {
  family: string;
  seed?: number;
  /** More of the rig file. */
  rig?: string;
  faults?: TimedFault[];
}

/** A run of the virtual DUT measured by an emulated instrument. */
async function recorded({ family, seed = 1, rig = '', faults = [] }: Wanted): Promise<Recording> {
  const text = `version: 1\nseed: ${seed}\n${rig}instrument:\n  family: "${family}"\n  connection: emulated\n${settings[family] ?? ''}`;
  const run = await instrumentRun(parseRig(text, 'test'), faults);
  const chunks: Chunk[] = [];
  await new Promise<void>((resolve, reject) => {
    run.chunks$.subscribe({ next: (chunk) => chunks.push(chunk), error: reject, complete: resolve });
  });
  return memoryRecording({
    ...run,
    clocks: [...run.clocks],
    streams: [...run.streams],
    chunks: chunks.values() as never,
  });
}

const score = async (recording: Recording) => (await scoreRun(recording)).document;

/**
 * Where the current itself shows the beginnings of windows of a regular stream, in s on its clock: the sample in which it
 * rises from idle, split by how much of the rise it has.
 */
async function flanks_s(recording: Recording, near_s: readonly number[]): Promise<number[]> {
  const stream = recording.streams[0]!;
  const tickHz = recording.clocks.find(({ id }) => id === stream.clock)!.tickHz;
  const dt = stream.ticksPerSample!;
  const blocks: SampleBlock[] = [];
  for await (const chunk of recording.samples()) if (chunk.kind === 'block' && chunk.current) blocks.push(chunk);
  const valueAt = (k: number) => {
    const block = blocks.find(({ firstTick, length }) => firstTick <= k * dt && k * dt < firstTick + length * dt);
    return block === undefined ? Number.NaN : block.current![Math.round(k - block.firstTick / dt)]!;
  };
  return near_s.map((at_s) => {
    const at = (at_s * tickHz) / dt;
    // The DUT is idle for 5 ms before it begins.
    const reach = Math.min(8, Math.floor(4e-3 / (dt / tickHz)));
    const values = Array.from({ length: 2 * reach }, (_, j) => valueAt(Math.round(at) - reach + j));
    const [low, high] = [values[0]!, values.at(-1)!];
    const k = values.findIndex((value) => value > low + 0.02 * (high - low));
    const share = (values[k + 1]! - values[k]!) / (values[k + 1]! - low);
    return ((Math.round(at) - reach + k + share) * dt) / tickHz;
  });
}

function sampleOf_s({ streams, clocks }: Recording): number {
  return streams[0]!.ticksPerSample! / clocks.find(({ id }) => id === streams[0]!.clock)!.tickHz;
}

const shortRun = 'profile: per-inference\ninferences: 20\ndut: {model: vww01}\n';

describe('an instrument without a pin, beside a pin that the host watches', () => {
  it.each(['monsoon', 'otii', 'n6705', '34465a'])(
    '%s: arrival times put windows where they belong, within 3u',
    async (family) => {
      for (const seed of [1, 2, 3]) {
        const recording = await recorded({ family, seed, rig: `${shortRun}trigger: {source: gpio, sync: none}\n` });
        const document = await score(recording);
        const [alignment] = document.alignments!;
        expect(alignment!.method).toBe('host-clock');
        expect(alignment!.u_s).toBeGreaterThan(0);
        expect(alignment!.u_s).toBeLessThan(2e-3);
        expect(document.warnings.map(({ code }) => code)).not.toContain('clock.offset-unknown');
        expect(document.windows).toHaveLength(20);
        const starts_s = document.windows.map(({ start_s }) => start_s);
        for (const [k, flank_s] of (await flanks_s(recording, starts_s)).entries()) {
          // A gap in the samples may hide a flank.
          if (!Number.isNaN(flank_s)) expect(Math.abs(starts_s[k]! - flank_s)).toBeLessThan(3 * alignment!.u_s!);
        }
      }
    },
  );

  it.each(['monsoon', 'otii', 'n6705', '34465a'])(
    '%s: the sync pattern in its current puts them there to a fraction of a sample, unless the rig says no',
    async (family) => {
      for (const seed of [1, 2, 3]) {
        const recording = await recorded({ family, seed, rig: `${shortRun}trigger: {source: gpio}\n` });
        expect(recording.plan!.sync).toMatchObject({ order: 7, channel: 'sync' });
        const document = await score(recording);
        const [alignment] = document.alignments!;
        expect(alignment!.method).toBe('sync-pattern');
        // The kernel's time stamps of the pin are good for 2 us.
        expect(alignment!.u_s).toBeLessThan(5e-6);
        expect(document.refusal).toBeNull();
        expect(document.windows).toHaveLength(20);
        const starts_s = document.windows.map(({ start_s }) => start_s);
        const flanks = await flanks_s(recording, starts_s);
        const seen = flanks.filter((flank_s) => !Number.isNaN(flank_s));
        expect(seen.length).toBeGreaterThan(15);
        for (const [k, flank_s] of flanks.entries()) {
          // Ripple of 0.4 % lets the current itself show them to 2 % of a sample.
          const slack_s = 0.02 * sampleOf_s(recording);
          if (!Number.isNaN(flank_s))
            expect(Math.abs(starts_s[k]! - flank_s)).toBeLessThan(3 * alignment!.u_s! + slack_s);
        }
        for (const { truth, missingSamples, samples } of document.windows) {
          // Samples in which a Monsoon calibrates itself are missing.
          expect(Math.abs(truth!.error_rel!)).toBeLessThanOrEqual(truth!.tolerance_rel + missingSamples! / samples);
        }
      }
    },
  );

  it('WT310: its readings are stamped by the host as late as they arrive, which the round trip bounds', async () => {
    for (const seed of [1, 2, 3]) {
      const recording = await recorded({ family: 'wt310', seed });
      const document = await score(recording);
      const [alignment] = document.alignments!;
      expect(alignment).toMatchObject({ edges: 'host', samples: 'wt310', method: 'host-clock' });
      expect(document.warnings).toEqual([]);
      const truths: WindowTruth[] = [];
      for await (const truth of recording.truth()) truths.push(truth);
      // Both clocks count from the same moment, so that the shift of the windows is the assumed delay of readings.
      for (const { start_s, index, truth } of document.windows) {
        expect(start_s - truths[index]!.start_s).toBeCloseTo(alignment!.u_s!, 8);
        expect(Math.abs(truth!.error_rel!)).toBeLessThanOrEqual(truth!.tolerance_rel);
      }
    }
  });

  it('PTDaemon: a sample waits for its poll, and the bound says so', async () => {
    for (const seed of [1, 2, 3]) {
      const document = await score(await recorded({ family: 'ptdaemon', seed }));
      const [alignment] = document.alignments!;
      expect(alignment!.u_s).toBeGreaterThan(0.15);
      expect(alignment!.u_s).toBeLessThan(0.2);
      const offset = document.quantities.energyPerInference!.components!.find(({ id }) => id === 'clock-offset')!;
      expect(offset.u! / document.quantities.energyPerInference!.value!).toBeCloseTo(alignment!.u_s! / 10.5, 3);
      expect(document.warnings).toEqual([]);
      for (const { truth, duration_s } of document.windows) {
        // What is outside is at most as strong as what is inside.
        expect(Math.abs(truth!.error_rel!)).toBeLessThan((3 * alignment!.u_s!) / duration_s);
      }
    }
  });

  it('INA226 on a bus: samples and edges are on one clock, that of the host', async () => {
    const document = await score(await recorded({ family: 'ina226', rig: shortRun }));
    expect(document.alignments).toBeUndefined();
    expect(document.warnings).toEqual([]);
    for (const { truth } of document.windows) {
      expect(Math.abs(truth!.error_rel!)).toBeLessThanOrEqual(truth!.tolerance_rel);
    }
  });

  it('plays the pattern once a minute in a long run', async () => {
    const { edges } = await recorded({ family: 'n6705', rig: 'profile: ic01\n' });
    const seen: Edge[] = [];
    for await (const batch of edges()) seen.push(...batch.edges.filter(({ channel }) => channel === 'sync'));
    // Each playing has 64 edges.
    expect(seen).toHaveLength(3 * 64);
  });

  it('refuses chips that are too short for the samples', async () => {
    const sync = `${shortRun}trigger: {sync: {order: 9, chip_s: 0.001}}\n`;
    await expect(recorded({ family: 'n6705', rig: sync })).rejects.toMatchObject({ code: 'rig.sync' });
    await expect(recorded({ family: 'wt310', rig: 'trigger: {sync: pattern}\n' })).rejects.toMatchObject({
      code: 'rig.sync',
    });
  });
});

describe('the sync pattern beside an instrument with a pin', () => {
  it('is played where the rig asks for it, and windows stay what they were', async () => {
    const text = 'version: 1\nprofile: per-inference\ninferences: 10\n';
    const rig = parseRig(`${text}trigger: {sync: {order: 9, chip_s: 1.0e-3}}\n`, 'test');
    const recording = memoryRecording(simulateRun(rig, 1));
    expect(recording.plan!.sync).toEqual({ order: 9, chip_s: 1e-3, channel: 'sync' });
    const document = await score(recording);
    expect(document.windows).toHaveLength(10);
    expect(document.warnings).toEqual([]);
    const plain = await score(memoryRecording(simulateRun(parseRig(text, 'test'), 1)));
    const longer_s = document.totals!.duration_s - plain.totals!.duration_s;
    expect(longer_s).toBeGreaterThan(2 * 0.511);
    expect(longer_s).toBeLessThan(2 * 0.6);
  });
});

describe('samples that a PPK2 loses', () => {
  it.each([1, 63, 64, 65, 6400])('%i: are found in the run, and the window in which they lie says so', async (lost) => {
    const rig = 'profile: per-inference\ninferences: 30\ndut: {model: vww01}\n';
    const whole = await score(await recorded({ family: 'ppk2', rig }));
    // In the middle of a window.
    const struck = 15;
    const at_s = whole.windows[struck]!.start_s + whole.windows[struck]!.duration_s / 2;
    const recording = await recorded({ family: 'ppk2', rig, faults: [{ at_s, fault: `drop-samples=${lost}` }] });
    expect(recording.streams[0]!.hiddenLossUnit).toBe(64);
    const document = await score(recording);
    expect(document.refusal).toBeNull();
    expect(document.windows).toHaveLength(30);
    expect(document.totals!.missingSamples).toBe(lost);
    const codes = document.warnings.map(({ code }) => code);
    expect(codes).toContain('samples.dropped');
    expect(codes).toContain('window.missing-samples');
    expect(document.windows.map(({ missingSamples }) => missingSamples)).toEqual(
      whole.windows.map((_, k) => (k === struck ? lost : 0)),
    );
    for (const [k, window] of document.windows.entries()) {
      // Lost time is lost from the samples, not from the clock: to a sample, and to a chunk of 5 ms next to the loss.
      const isNear = Math.abs(window.start_s - at_s) < 0.2;
      expect(Math.abs(window.start_s - whole.windows[k]!.start_s)).toBeLessThan(isNear ? 6e-3 : 2.1e-5);
      expect(Math.abs(window.duration_s - whole.windows[k]!.duration_s)).toBeLessThan(isNear ? 6e-3 : 2.1e-5);
    }
  });
});
