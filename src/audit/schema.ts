import { z } from 'zod';
import type { AuditDocument } from './document.ts';

const figure = z.number().nullable().optional();
const figures = z
  .object({
    energyPerInference_uJ: figure,
    throughput_ips: figure,
    inferencesPerJoule: figure,
    top1_pct: figure,
    auc: figure,
    meanPower_W: figure,
    energyPerQuery_mJ: figure,
    tp: figure,
    fp: figure,
    fn: figure,
  })
  .describe('Figures in the unit that their names end in; null is "not known".');
const place = z.string().nullable();
const windows = z
  .object({ claimed: z.int(), recomputable: z.int(), exact: z.int() })
  .describe('Windows (trials): printed, recomputable from the evidence, and equal to the printed digit.');
const severity = z.enum(['error', 'warning', 'info']);

const claim = z.object({
  id: z.string().describe('Stable: path relative to the audited root, and the mode.'),
  auditor: z.string(),
  path: z.string(),
  round: place,
  division: place,
  submitter: place,
  system: place,
  benchmark: place,
  mode: z.string(),
  claimed: figures,
  recomputed: figures,
  supported: figures.describe('What the evidence does support, where that can be told.'),
  arithmetic: z.enum(['exact', 'differs', 'none']),
  evidence: z.enum(['supports', 'contradicts', 'incomplete']),
  rules: z.enum(['met', 'broken', 'unknown']),
  verdict: z.enum(['refuted', 'unverifiable', 'irregular', 'upheld']),
  windows,
  officialVerdict: z.object({ pass: z.boolean(), reasons: z.array(z.string()) }).optional(),
  comparisons: z.array(
    z.object({
      field: z.string(),
      printed: z.string().nullable(),
      recomputed: z.string().nullable(),
      exact: z.boolean().nullable(),
    }),
  ),
  measured: z
    .record(z.string(), z.unknown())
    .describe('Further numbers of interest to an auditor; keys are only added.'),
  plots: z
    .array(
      z.object({
        title: z.string(),
        x: z.string(),
        y: z.string(),
        points: z.array(z.tuple([z.number(), z.number(), z.number()])),
        spans: z.array(z.object({ label: z.enum(['claimed', 'implied']), from: z.number(), to: z.number() })),
      }),
    )
    .optional(),
});

const finding = z.object({
  code: z.string().describe('Entry of docs/findings.md.'),
  severity,
  claim: z.string().nullable(),
  path: z.string(),
  message: z.string(),
  evidence: z.record(z.string(), z.unknown()),
});

/** The JSON of `joulemark audit --json`. Within `/1` fields are only added. */
export const auditSchema = z.object({
  schema: z.literal('joulemark.audit/1'),
  claims: z.array(claim),
  findings: z.array(finding),
  summary: z.object({
    claims: z.int(),
    windows,
    verdicts: z.object({ refuted: z.int(), unverifiable: z.int(), irregular: z.int(), upheld: z.int() }),
    findings: z.object({ error: z.int(), warning: z.int(), info: z.int() }),
  }),
}) satisfies z.ZodType<AuditDocument>;

/** docs/audit.schema.json. Unknown fields are allowed: readers ignore them. */
export function auditJsonSchema(): object {
  const schema = z.toJSONSchema(auditSchema, { target: 'draft-2020-12', io: 'input' });
  return { title: 'joulemark.audit/1', ...schema };
}
