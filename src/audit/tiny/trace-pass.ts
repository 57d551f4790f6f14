import { createHash } from 'node:crypto';
import { readTraceValues, type TraceHeader } from '../../capture/formats/energyrunner/trace.ts';
import type { SampleBlock, StreamInfo, Window } from '../../signal/types.ts';
import { energyRunnerRule, type PublishedSlice } from '../../sync/slicing/energyrunner.ts';
import { Envelope } from './envelope.ts';
import { lpm01aLimit_A, TraceInspector } from './trace-checks.ts';

/** One window of a trace by the published arithmetic. */
export interface TraceWindow {
  from_s: number;
  to_s: number;
  /** G[a] and G[b] of the published arithmetic. */
  gridStart_s: number;
  gridEnd_s: number;
  energy_uJ: number;
  samples: number;
  /** It reaches beyond the trace. */
  outside: boolean;
}

export interface TracePass {
  header: TraceHeader;
  sha256: string;
  inspector: TraceInspector;
  /** In the order of the given lists. */
  windows: TraceWindow[][];
  /** Samples of the first list of windows above the current limit at the set voltage, and the highest current; null without a voltage. */
  over: { samples: number; highest_A: number } | null;
  /** Lowest and highest value of each of some hundred stretches; null where not asked for. */
  envelope: [number, number, number][] | null;
}

const stream: StreamInfo = {
  id: 'energy',
  rail: 'main',
  clock: 'trace',
  ticksPerSample: 1,
  quantities: ['energy'],
  precision: 'f32',
  semantics: 'mean-forward',
  groupDelay_s: null,
  scale: { energy: 1e-6 },
  assumedVoltage_V: null,
  ranges: [],
  logicInputs: [],
  calibration: null,
};

/**
 * Everything that an audit asks of the samples, in one pass over the file.
 *
 * @param lists lists of windows in s, each ascending and without overlaps; the first is the claimed one
 * @param voltage_V set voltage, for the current limit of the LPM01A; null to leave that out
 * @throws FormatError where the trace is damaged
 */
export async function passTrace(
  header: TraceHeader,
  lists: readonly (readonly { from_s: number; to_s: number }[])[],
  voltage_V: number | null,
  want: { digits: boolean; envelope: boolean },
): Promise<TracePass> {
  const hash = createHash('sha256');
  const claimed = lists[0] ?? [];
  const inspector = new TraceInspector(want.digits);
  // In a good run the windows that the log implies are the claimed ones.
  const distinct = lists.filter((list, k) => k === 0 || !sameWindows(list, claimed));
  const slicers = distinct.map((list) => {
    const windows = list.map((w, index): Window => ({ index, startTick: w.from_s, endTick: w.to_s, u_ticks: null }));
    return energyRunnerRule(header.rate_Hz).makeSlicer(stream, windows);
  });
  const slices: PublishedSlice[][] = distinct.map(() => []);
  const envelope = want.envelope ? new Envelope(header.samples, header.rate_Hz) : null;
  const range = voltage_V === null ? null : new RangeCheck(claimed, header.rate_Hz, lpm01aLimit_A * voltage_V * 1000);
  let firstTick = 0;
  for await (const values of readTraceValues(header)) {
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    inspector.push(values);
    envelope?.push(values);
    range?.push(values, firstTick);
    const length = values.length;
    const block: SampleBlock = {
      kind: 'block',
      stream: stream.id,
      firstTick,
      ticksPerSample: 1,
      length,
      energy: values,
    };
    slicers.forEach((slicer, k) => {
      for (const slice of slicer.push(block)) slices[k]?.push(slice);
    });
    firstTick += length;
  }
  slicers.forEach((slicer, k) => {
    for (const slice of slicer.end()) slices[k]?.push(slice);
  });
  return {
    header,
    sha256: hash.digest('hex'),
    inspector,
    windows: lists.map((list) => {
      const found = slices[Math.max(0, distinct.indexOf(list))] ?? [];
      return found.map((slice) => toTraceWindow(slice, header.rate_Hz));
    }),
    over:
      range === null || voltage_V === null
        ? null
        : { samples: range.over, highest_A: range.highest_mW / 1000 / voltage_V },
    envelope: envelope?.points() ?? null,
  };
}

type Spans = readonly { from_s: number; to_s: number }[];

function sameWindows(a: Spans, b: Spans): boolean {
  return a.length === b.length && a.every((w, i) => w.from_s === b[i]?.from_s && w.to_s === b[i]?.to_s);
}

/** Highest power inside windows, and how many samples there lie above a limit. Samples at k / rate, in (from, to]. */
class RangeCheck {
  over = 0;
  highest_mW = 0;
  readonly #windows: { from: number; to: number }[];
  readonly #limit_mW: number;

  constructor(windows: Spans, rate_Hz: number, limit_mW: number) {
    this.#windows = windows.map((w) => ({
      from: Math.floor(w.from_s * rate_Hz) + 1,
      to: Math.floor(w.to_s * rate_Hz) + 1,
    }));
    this.#limit_mW = limit_mW;
  }

  push(values: Float32Array, firstTick: number): void {
    const limit_mW = this.#limit_mW;
    let { over, highest_mW } = this;
    for (const { from, to } of this.#windows) {
      const end = Math.min(to - firstTick, values.length);
      for (let i = Math.max(0, from - firstTick); i < end; i++) {
        const p = values[i] as number;
        if (p > highest_mW) highest_mW = p;
        if (p > limit_mW) over++;
      }
    }
    this.over = over;
    this.highest_mW = highest_mW;
  }
}

/** `uJ = 1000 / rate * sum(mW)`: at 1 kHz a sample in mW and the energy of its interval in uJ are the same number. */
function toTraceWindow(slice: PublishedSlice, rate_Hz: number): TraceWindow {
  return {
    from_s: slice.window.startTick,
    to_s: slice.window.endTick,
    gridStart_s: slice.gridStart_s,
    gridEnd_s: slice.gridEnd_s,
    energy_uJ: (1000 / rate_Hz) * (slice.ranges[0]?.energy ?? 0),
    samples: slice.ranges[0]?.n ?? 0,
    outside: slice.outside,
  };
}
