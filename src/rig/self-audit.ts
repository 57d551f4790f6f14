import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditPaths } from '../audit/audit.ts';
import type { Arithmetic, Evidence, Rules, Verdict } from '../audit/types.ts';
import { findProfile } from '../scoring/profiles/index.ts';
import type { ScoreDocument } from '../scoring/score-document.ts';
import type { Recording } from '../signal/recording.ts';
import type { ExportedLayout } from './energyrunner-export.ts';

/** What our own audit says of the layout that a run has just written. */
export interface SelfAudit {
  folder: string;
  verdict: Verdict;
  arithmetic: Arithmetic;
  evidence: Evidence;
  rules: Rules;
  /** Codes of its findings, each once, in the order of the audit. */
  findings: string[];
  /**
   * The figures of the layout over those of the run itself, less 1: the largest of the windows; null where there are none to compare.
   * `allowed` is what the grid of 1 ms explains.
   */
  agreement: {
    energy_rel: number | null;
    energyAllowed_rel: number | null;
    throughput_rel: number | null;
    throughputAllowed_rel: number | null;
    /** Null where nothing can be compared. */
    agrees: boolean | null;
  };
}

/** Timestamps are printed to the millisecond, and an end of a window can be taken for the millisecond before it. */
const rounding_s = 0.5e-3;
const grid_s = 1e-3;
/** Sums of 32-bit floats. */
const float_rel = 1e-6;

/** Audits the layout that was written from a recording, and holds its figures against those of the run itself. */
export async function auditLayout(
  recording: Recording,
  folder: string,
  document: ScoreDocument,
  layout: ExportedLayout,
): Promise<SelfAudit> {
  const labels = document.mode === 'accuracy' ? await labelsOf(recording, document) : null;
  try {
    const { claims, findings } = await auditPaths([folder], { threads: 0, labels });
    const [claim] = claims;
    if (claim === undefined || claims.length > 1) throw new Error(`${claims.length} claims in the layout of one run`);
    const { verdict, arithmetic, evidence, rules } = claim;
    const codes = [...new Set(findings.map(({ code }) => code))];
    return {
      folder,
      verdict,
      arithmetic,
      evidence,
      rules,
      findings: codes,
      agreement: agreementOf(recording, document, layout),
    };
  } finally {
    if (labels !== null) rmSync(labels, { recursive: true, force: true });
  }
}

/** The true classes that the run knew, as the lists that an audit of answers asks for; null where its benchmark has none. */
async function labelsOf(recording: Recording, document: ScoreDocument): Promise<string | null> {
  const lists = document.profile === null ? [] : (findProfile(document.profile)?.labels ?? []);
  if (lists[0] === undefined) return null;
  const classOf = new Map<string, number>();
  for await (const { input, label } of recording.results()) if (label !== null) classOf.set(input, label);
  const classes = Math.max(0, ...classOf.values()) + 1;
  const folder = mkdtempSync(join(tmpdir(), 'joulemark-labels-'));
  const rows = [...classOf].map(([input, label]) => `${input},${classes},${label}\n`);
  writeFileSync(join(folder, lists[0].file), rows.join(''));
  return folder;
}

function agreementOf(
  recording: Recording,
  document: ScoreDocument,
  { score, peakPower_W }: ExportedLayout,
): SelfAudit['agreement'] {
  const unknown = {
    energy_rel: null,
    energyAllowed_rel: null,
    throughput_rel: null,
    throughputAllowed_rel: null,
    agrees: null,
  };
  if (score === null || peakPower_W === null) return unknown;
  if (score.windows.length !== document.windows.length) return { ...unknown, agrees: false };
  const slack_s = 2 * (rounding_s + grid_s + slicing_s(recording));
  let agrees = true;
  const worst = { energy_rel: 0, energyAllowed_rel: 0, throughput_rel: 0, throughputAllowed_rel: 0 };
  document.windows.forEach((own, k) => {
    const theirs = score.windows[k]!;
    const energy_rel = theirs.energy_uJ! / own.energy_uJ! - 1;
    const energyAllowed_rel = (slack_s * peakPower_W * 1e6) / Math.abs(own.energy_uJ!) + float_rel;
    const throughput_rel = own.runtime_s / theirs.runtime_s - 1;
    const throughputAllowed_rel = (2 * rounding_s) / theirs.runtime_s + float_rel;
    // A window without energy has nothing to compare.
    if (Math.abs(energy_rel) > energyAllowed_rel || Math.abs(throughput_rel) > throughputAllowed_rel) agrees = false;
    if (Math.abs(energy_rel) > Math.abs(worst.energy_rel)) Object.assign(worst, { energy_rel, energyAllowed_rel });
    if (Math.abs(throughput_rel) > Math.abs(worst.throughput_rel)) {
      Object.assign(worst, { throughput_rel, throughputAllowed_rel });
    }
  });
  return { ...worst, agrees };
}

/** How far the slicing of the run may look beyond an edge: a sample, and the delay that it corrects. */
function slicing_s({ streams, clocks }: Recording): number {
  return Math.max(
    ...streams.map(({ ticksPerSample, clock, groupDelay_s }) => {
      const tickHz = clocks.find(({ id }) => id === clock)?.tickHz ?? 1;
      return (ticksPerSample ?? 0) / tickHz + Math.abs(groupDelay_s ?? 0);
    }),
  );
}
