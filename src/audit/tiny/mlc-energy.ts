import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import type { MlcPower, MlcTrial } from '../../capture/formats/mlcommons/results-json.ts';
import { median } from '../../stats/quantile.ts';
import { numpySum } from '../../sync/slicing/numpy-sum.ts';
import { Case, maxWindows } from '../case.ts';
import { compare, countWindows } from '../compare.ts';
import type { AuditedClaim, ClaimSite } from '../types.ts';
import { type MlcRun, readMlcRun } from './mlc-run.ts';
import { checkInputs, checkLayout, checkWindows } from './rules.ts';
import { lpm01aLimit_A, overRangeCode } from './trace-checks.ts';
import { auditWakeword } from './wakeword.ts';

const rate_Hz = 1000;
/** Serial speed of the LPM01A, which the runner prints when it opens it. */
const lpm01aBaud = 3_686_400;

/** One trial by the runner's arithmetic. */
interface TrialEnergy {
  index: number;
  elapsed_s: number;
  energy_J: number;
  inferences: number | null;
  /** Samples of the window. */
  from: number;
  to: number;
}

/** Audits an energy run of the MLCommons runner: samples and events of results.json against results.txt. */
export async function auditMlcEnergy(site: ClaimSite): Promise<AuditedClaim> {
  const audit = new Case(site);
  const run = await readMlcRun(audit);
  const { log, results, trials, profile, resultsPath } = run;
  if (site.files['mlc-data'] === undefined) {
    audit.observe('results.json-missing', site.path, 'there is no results.json, which would hold the samples');
  }
  const energies = (trials ?? []).map((trial) => trialEnergy(audit, trial));
  compareTrials(audit, run, energies);
  const streaming = profile?.task === 'streaming-wakeword';
  if (streaming) auditWakeword(audit, run);
  audit.judgeArithmetic(trials === null ? 'without a usable results.json' : 'the evidence is not complete');
  if (trials) {
    checkSamples(audit, run, trials, energies);
    audit.facts.evidenceSha = shaOf(trials);
    audit.measured.evidenceSha = audit.facts.evidenceSha;
  }
  const windows = energies.flatMap((e) =>
    e === null ? [] : [{ index: e.index, duration_s: e.elapsed_s, iterations: e.inferences }],
  );
  const printed = (results?.trials ?? []).map((t) => ({
    index: t.index,
    duration_s: t.elapsed_s?.value ?? null,
    iterations: t.inferences?.value ?? null,
  }));
  checkWindows(audit, profile, windows.length > 0 ? windows : printed, resultsPath);
  if (log) checkInputs(audit, profile, log.calls, site.files['mlc-log'] ?? site.path);
  checkLayout(audit, 'mlcommons');
  audit.facts.run = dirname(resolve(site.path));
  if (!streaming) audit.facts.throughput_ips = audit.recomputed.throughput_ips ?? null;
  return audit.result(countWindows(audit.windows));
}

/**
 * `E = np.sum(samples[i0:i1])`, elapsed = i1/1000 - i0/1000, i0 and i1 the last two events; counters must be
 * consecutive. Null where the runner would refuse the trial.
 */
function trialEnergy(audit: Case, trial: MlcTrial): TrialEnergy | null {
  const path = audit.site.files['mlc-data'] as string;
  if (trial.power === null) return null;
  const { events, samples_J } = trial.power;
  const counters = events.map((e) => e.counter);
  if (counters.some((c, i) => i > 0 && c !== (counters[i - 1] as number) + 1)) {
    const message = `trial ${trial.index}: the event counters are ${counters.slice(0, 20).join(', ')}`;
    audit.observe('events.lost', path, message, { trial: trial.index, counters: counters.slice(0, 100) });
    return null;
  }
  const from = events.at(-2)?.sample;
  const to = events.at(-1)?.sample;
  if (from === undefined || to === undefined || to < from) {
    const message = `trial ${trial.index}: ${events.length} events where a window has two, in order`;
    audit.observe('events.lost', path, message, { trial: trial.index, counters: counters.slice(0, 100) });
    return null;
  }
  if (to > samples_J.length) {
    const message = `trial ${trial.index}: the last event lies at sample ${to}, the trace ends at ${samples_J.length}`;
    audit.observe('edges.beyond-trace', path, message, { trial: trial.index, event: to, samples: samples_J.length });
  }
  return {
    index: trial.index,
    elapsed_s: to / rate_Hz - from / rate_Hz,
    energy_J: numpySum(samples_J.slice(from, to)),
    inferences: trial.iterations,
    from,
    to,
  };
}

function compareTrials(audit: Case, { results, trials }: MlcRun, energies: (TrialEnergy | null)[]): void {
  const indices = new Set([
    ...(results?.trials.length ? energies.flatMap((e) => (e === null ? [] : [e.index])) : []),
    ...(results?.trials.map((t) => t.index) ?? []),
  ]);
  for (const index of [...indices].sort((a, b) => a - b).slice(0, maxWindows)) {
    const print = results?.trials.find((t) => t.index === index);
    const e = energies.find((each) => each?.index === index) ?? null;
    const perInference_J = e === null || e.inferences === null ? null : e.energy_J / e.inferences;
    const name = `trial ${index}`;
    audit.windows.push([
      compare(`${name}: elapsed time`, print?.elapsed_s ?? null, e?.elapsed_s ?? null),
      compare(`${name}: inferences`, print?.inferences ?? null, e?.inferences ?? null),
      compare(`${name}: power`, print?.power_mW ?? null, e === null ? null : (1e3 * e.energy_J) / e.elapsed_s),
      compare(`${name}: total energy`, print?.energy_uJ ?? null, e === null ? null : e.energy_J * 1e6),
      compare(
        `${name}: energy/inf`,
        print?.energyPerInference_uJ ?? null,
        perInference_J === null ? null : perInference_J * 1e6,
      ),
    ]);
  }
  const known = energies.every((e) => e !== null && e.inferences !== null && e.inferences > 0);
  const usable = trials !== null && trials.length > 0 && known ? (energies as TrialEnergy[]) : [];
  const middle = median(usable.map((e) => e.energy_J / (e.inferences as number)));
  audit.figure(
    'energyPerInference_uJ',
    'median energy',
    results?.medianEnergy_uJ ?? null,
    middle === null ? null : 1e6 * middle,
  );
  if (middle === null) return;
  audit.recomputed.inferencesPerJoule = 1 / middle;
  audit.recomputed.throughput_ips = median(usable.map((e) => (e.inferences as number) / e.elapsed_s));
  audit.supported.energyPerInference_uJ = 1e6 * middle;
  audit.supported.inferencesPerJoule = 1 / middle;
}

/** Samples against the log and the instrument. */
function checkSamples(audit: Case, { log }: MlcRun, trials: MlcTrial[], energies: (TrialEnergy | null)[]): void {
  const path = audit.site.files['mlc-data'] as string;
  const measured = trials.flatMap((t) => (t.power === null ? [] : [{ ...t, power: t.power }]));
  const differing = measured.flatMap(({ power }, i) => {
    const captured = log?.captured[i];
    if (captured === undefined) return [];
    const same = captured.samples === power.samples_J.length && captured.timestamps === power.events.length;
    return same ? [] : [{ trial: i, captured, samples: power.samples_J.length, timestamps: power.events.length }];
  });
  if (differing.length > 0) {
    const [first] = differing;
    const message = `trial ${first?.trial}: the log captured ${first?.captured.samples} samples and ${first?.captured.timestamps} events, results.json holds ${first?.samples} and ${first?.timestamps}`;
    audit.observe('trace.capture-differs', path, message, { differing: differing.slice(0, 20) });
  }
  const ran = (log?.calls ?? []).flatMap((call, i) => {
    const n = trials[i]?.iterations ?? null;
    return n === null || n === call.inferences ? [] : [{ trial: i, commanded: call.inferences, recorded: n }];
  });
  if (ran.length > 0) {
    const message = `trial ${ran[0]?.trial}: ${ran[0]?.commanded} inferences in the log, ${ran[0]?.recorded} in results.json`;
    audit.observe('iterations.differ', path, message, { differing: ran.slice(0, 20) });
  }
  const negative = measured.reduce((n, { power }) => n + countOf(power, (s) => s < 0), 0);
  const total = measured.reduce((n, { power }) => n + power.samples_J.length, 0);
  if (negative > 0) audit.observe('trace.negative', path, `${negative} of ${total} samples are negative`, { negative });
  if (log?.fastestBaud !== lpm01aBaud) return;
  const digits = measured.reduce((n, { power }) => n + countOf(power, (s) => !fourDigits(s)), 0);
  if (digits > 0) {
    const message = `${digits} of ${total} samples are no decimals of four significant digits, which is all that an LPM01A sends`;
    audit.observe('trace.digits', path, message, { samples: total, other: digits });
  }
  checkRange(audit, measured, energies);
}

function checkRange(audit: Case, trials: { index: number; power: MlcPower }[], energies: (TrialEnergy | null)[]): void {
  let over = 0;
  let highest_A = 0;
  let samples = 0;
  for (const { index, power } of trials) {
    const window = energies.find((e) => e?.index === index);
    // Round v1.3 prints volts; a supply above 100 V can only be millivolts.
    const voltage_V = power.voltage === null ? null : power.voltage > 100 ? power.voltage / 1000 : power.voltage;
    if (!window || voltage_V === null || voltage_V <= 0) continue;
    for (let i = window.from; i < Math.min(window.to, power.samples_J.length); i++) {
      const current_A = ((power.samples_J[i] as number) * rate_Hz) / voltage_V;
      if (current_A > highest_A) highest_A = current_A;
      if (current_A > lpm01aLimit_A) over++;
      samples++;
    }
  }
  audit.measured.highest_A = highest_A;
  const code = overRangeCode(over, samples);
  if (code === null) return;
  const path = audit.site.files['mlc-data'] as string;
  const message = `${over} of ${samples} samples in the windows lie above ${lpm01aLimit_A * 1000} mA (up to ${(highest_A * 1000).toFixed(2)} mA at the set voltage), the limit of the LPM01A`;
  audit.observe(code, path, message, { samples: over, highest_A, limit_A: lpm01aLimit_A });
  if (code === 'current.peaks') return;
  for (const name of Object.keys(audit.supported)) audit.supported[name as keyof typeof audit.supported] = null;
}

function countOf(power: MlcPower, test: (sample_J: number) => boolean): number {
  let n = 0;
  for (const sample of power.samples_J) if (test(sample)) n++;
  return n;
}

/** In float64 a product such as 1579 * 1e-8 may miss the nearest number to the decimal by a little. */
function fourDigits(x: number): boolean {
  return Math.abs(x - Number(x.toPrecision(4))) <= 1e-12 * Math.abs(x);
}

function shaOf(trials: MlcTrial[]): string | null {
  const hash = createHash('sha256');
  let samples = 0;
  for (const { power } of trials) {
    if (power === null) continue;
    samples += power.samples_J.length;
    hash.update(new Uint8Array(power.samples_J.buffer, power.samples_J.byteOffset, power.samples_J.byteLength));
  }
  return samples === 0 ? null : hash.digest('hex');
}
