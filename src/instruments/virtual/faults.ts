import type { Random } from '../../plant/random.ts';

/** What can go wrong on request. A fault changes what the instrument reports, never the truth. */
export const virtualFaultKinds = [
  'dropped-samples',
  'lost-edge',
  'extra-edge',
  'bounce',
  'clock-skew',
  'saturation',
  'unplug',
] as const;

export type VirtualFaultKind = (typeof virtualFaultKinds)[number];

/** A moment that is known before the run: so long after the trigger line's n-th change (0 = the first). */
interface Moment {
  afterChange: number;
  delay_s: number;
}

/** The faults of one run with their parameters. */
export interface VirtualFaults {
  /** Stretches of samples that are missing: one sample at least. */
  drops: (Moment & { duration_s: number })[];
  /** Changes of the line that the capture misses. */
  lostChanges: number[];
  /** Pulses that nobody sent. */
  extraPulses: (Moment & { width_s: number })[];
  /** Extra changes after a change, alternating, in s after it. */
  bounces: { change: number; offsets_s: number[] }[];
  /** The instrument's clock runs this much faster than true time. */
  skew: number;
  /** The range switching is stuck one range too low for a while. */
  saturation: (Moment & { duration_s: number }) | null;
  unplug: Moment | null;
}

/** Which changes of the trigger line begin and end each window. */
export interface TriggerPlan {
  windows: number;
  /** Duration of a window, roughly. */
  window_s: number;
  /** Numbers of the changes that mark the start (or the end) of window w: one, or two where a pulse marks it. */
  startChanges(w: number): number[];
  endChanges(w: number): number[];
}

/** Draws the parameters of the faults that were asked for; a kind that occurs twice is drawn twice. */
export function drawFaults(kinds: readonly VirtualFaultKind[], plan: TriggerPlan, random: Random): VirtualFaults {
  const faults: VirtualFaults = {
    drops: [],
    lostChanges: [],
    extraPulses: [],
    bounces: [],
    skew: 0,
    saturation: null,
    unplug: null,
  };
  const anyWindow = () => random.below(plan.windows);
  const insideWindow = (w: number): Moment => ({
    afterChange: plan.startChanges(w)[0],
    delay_s: plan.window_s * random.between(0.1, 0.5),
  });
  for (const kind of kinds) {
    switch (kind) {
      case 'dropped-samples':
        for (let k = 1 + random.below(3); k > 0; k--) {
          const longest_s = Math.min(2e-3, plan.window_s / 4);
          faults.drops.push({ ...insideWindow(anyWindow()), duration_s: random.between(0, longest_s) });
        }
        break;
      case 'lost-edge': {
        const w = anyWindow();
        faults.lostChanges.push(...(random.uniform() < 0.5 ? plan.startChanges(w) : plan.endChanges(w)));
        break;
      }
      case 'extra-edge':
        faults.extraPulses.push({ ...insideWindow(anyWindow()), width_s: random.between(60e-6, 200e-6) });
        break;
      case 'bounce':
        for (let k = 1 + random.below(3); k > 0; k--) {
          const w = anyWindow();
          const change = random.uniform() < 0.5 ? plan.startChanges(w)[0] : plan.endChanges(w)[0];
          if (faults.bounces.some((bounce) => bounce.change === change)) continue;
          const first = random.between(3e-6, 15e-6);
          faults.bounces.push({ change, offsets_s: [first, first + random.between(3e-6, 20e-6)] });
        }
        break;
      case 'clock-skew':
        faults.skew = (random.uniform() < 0.5 ? -1 : 1) * random.between(1e-3, 2.5e-3);
        break;
      case 'saturation':
        faults.saturation = { ...insideWindow(anyWindow()), duration_s: plan.window_s * random.between(0.02, 0.2) };
        break;
      case 'unplug':
        faults.unplug = insideWindow(anyWindow());
        break;
    }
  }
  return faults;
}
