import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { openRunFolder } from '../../capture/run-folder.ts';
import { type VerifyReport, verifyRunFolder } from '../../capture/verify.ts';
import { scoreRecording } from '../../scoring/score.ts';
import type { ScoreDocument } from '../../scoring/score-document.ts';
import { FormatError } from '../../signal/errors.ts';
import { Case } from '../case.ts';
import { countWindows } from '../compare.ts';
import type { AuditedClaim, AuditOptions, ClaimAuditor, ClaimSite, Comparison, Folder, Place } from '../types.ts';

const maxResult_bytes = 64 * 1024 * 1024;
/** Problems of one folder beyond these are only counted. */
const maxProblems = 50;

const figure = z.number().nullable();
const resultFile = z.object({
  schema: z.literal('joulemark.score/1'),
  windows: z.array(
    z.object({
      index: z.number(),
      energy_uJ: figure,
      energyPerInference_uJ: figure,
      throughput_ips: figure,
      duration_s: figure,
    }),
  ),
  median: z.object({ energyPerInference_uJ: figure, throughput_ips: figure, inferencesPerJoule: figure }),
  accuracy: z.object({ top1_pct: figure, auc: figure }).nullable().optional(),
});

type Result = z.output<typeof resultFile>;

/** Joulemark's own run folders. */
export const runFolderAuditor: ClaimAuditor = {
  id: 'joulemark-run',
  exclusive: true,
  find: findRunFolder,
  audit: auditRunFolder,
};

/** A folder is known by its header, and by its manifest where the header is missing. */
async function findRunFolder(folder: Folder, place: Place): Promise<Omit<ClaimSite, 'id' | 'auditor'>[]> {
  const header = await folder.head('run.json');
  const manifest = await folder.head('manifest.json');
  if (!header?.includes('"joulemark.run-folder/') && !manifest?.includes('"joulemark.manifest/')) return [];
  const files = { folder: folder.path };
  const mode = /"plan": \{\s*"mode": "(performance|accuracy)"/.exec(header ?? '')?.[1] ?? 'energy';
  return [{ path: folder.path, relative: folder.relative, place, mode, files }];
}

/** Checks hashes, chain and signature, and holds the result in the folder against a new score of its samples. */
async function auditRunFolder(site: ClaimSite, options: AuditOptions): Promise<AuditedClaim> {
  const audit = new Case(site);
  const resultPath = join(site.path, 'result.json');
  const result = await audit.read('run.result-unusable', resultPath, () => readResult(resultPath));
  const report = await audit.read('run.damaged', site.path, () =>
    verifyRunFolder(site.path, { trustedKeys: [...(options.trustedKeys ?? [])] }),
  );
  if (report !== null) checkSeal(audit, report);
  const document = await audit.read('run.damaged', site.path, async () => {
    const recording = await openRunFolder(site.path);
    return (await scoreRecording(recording)).document;
  });
  compareResult(audit, result, document);
  audit.judgeArithmetic('its samples cannot be scored');
  if (document !== null) checkScore(audit, document);
  if (report?.simulated !== false && (report?.simulated || document?.simulated)) {
    const message = 'an instrument or the device under test of this run was simulated';
    audit.observe('claim.simulated', site.path, message, { mark: 'run.json: simulated' });
  }
  audit.measured.signature = report?.signature ?? null;
  audit.measured.signer = report?.signer ?? null;
  return audit.result(countWindows(audit.windows));
}

async function readResult(path: string): Promise<Result> {
  const remedy = 'Take the folder as the run closed it.';
  const found = await stat(path);
  // Reading a pipe would wait for ever.
  if (!found.isFile()) throw new FormatError('result.malformed', { where: path, problem: 'is no file', remedy });
  if (found.size > maxResult_bytes) {
    throw new FormatError('result.too-large', { where: path, problem: `is ${found.size} bytes long`, remedy });
  }
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new FormatError('result.malformed', { where: path, problem: (error as Error).message, remedy });
  }
  const parsed = resultFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = `${path} at ${issue?.path.join('.') ?? 'the top'}`;
  throw new FormatError('result.malformed', { where, problem: issue?.message ?? 'is of another shape', remedy });
}

function checkSeal(audit: Case, report: VerifyReport): void {
  const { path } = audit.site;
  if (!report.closed || report.cutOff) {
    audit.observe('run.not-closed', path, 'the capture was not closed, so nothing seals it');
  }
  for (const problem of report.problems.slice(0, maxProblems)) {
    const { file, block, offset } = problem;
    const where = block === null ? file : `${file}, block ${block}${offset === null ? '' : ` at byte ${offset}`}`;
    audit.observe('run.changed', join(path, file), `${where}: ${problem.problem}`, { file, block, offset });
  }
  if (report.problems.length > maxProblems) {
    const message = `and ${report.problems.length - maxProblems} more places`;
    audit.observe('run.changed', path, message, { problems: report.problems.length });
  }
  if (report.signature === 'none') audit.observe('run.unsigned', path, 'no key signed this run');
  else if (report.signature === 'untrusted') {
    const message = `signed by ${report.signer}, which is none of the trusted keys`;
    audit.observe('run.untrusted', path, message, { signer: report.signer });
  } else if (report.signature === 'invalid') {
    audit.observe('run.signature-invalid', path, 'the signature does not fit the manifest', { signer: report.signer });
  }
}

/** Results are replays: every number of the file must come out again, to the last bit. */
function compareResult(audit: Case, result: Result | null, document: ScoreDocument | null): void {
  const { site } = audit;
  const exactly = (field: string, claimed: number | null | undefined, found: number | null | undefined): Comparison => {
    const printed = claimed === null || claimed === undefined ? null : String(claimed);
    const recomputed = found === null || found === undefined ? null : String(found);
    return {
      field,
      printed,
      recomputed,
      exact: printed === null || recomputed === null ? null : printed === recomputed,
    };
  };
  for (const claimed of result?.windows ?? []) {
    const found = document?.windows.find((w) => w.index === claimed.index);
    audit.windows.push([
      exactly(`window ${claimed.index}: energy_uJ`, claimed.energy_uJ, found?.energy_uJ),
      exactly(`window ${claimed.index}: duration_s`, claimed.duration_s, found?.duration_s),
      exactly(`window ${claimed.index}: throughput_ips`, claimed.throughput_ips, found?.throughput_ips),
    ]);
  }
  for (const name of ['energyPerInference_uJ', 'throughput_ips', 'inferencesPerJoule'] as const) {
    const [claimed, found] = [result?.median[name] ?? null, document?.median[name] ?? null];
    if (claimed !== null) audit.claimed[name] = claimed;
    if (found !== null) audit.recomputed[name] = found;
    // A figure that a run of this kind has none of is not missing.
    if (claimed !== null || found !== null || site.mode === 'energy') {
      audit.headline.push(exactly(`median ${name}`, claimed, found));
    }
  }
  for (const name of site.mode === 'accuracy' ? (['top1_pct', 'auc'] as const) : []) {
    const [claimed, found] = [result?.accuracy?.[name] ?? null, document?.accuracy?.[name] ?? null];
    if (claimed !== null) audit.claimed[name] = claimed;
    if (found !== null) audit.recomputed[name] = found;
    if (claimed !== null || found !== null) audit.headline.push(exactly(name, claimed, found));
  }
  if (result !== null && document !== null && result.windows.length !== document.windows.length) {
    const counts = { claimed: result.windows.length, found: document.windows.length };
    const message = `${counts.claimed} windows in result.json, ${counts.found} in the samples`;
    audit.observe('run.windows-differ', join(audit.site.path, 'result.json'), message, counts);
  }
}

function checkScore(audit: Case, document: ScoreDocument): void {
  const { path } = audit.site;
  for (const gate of document.gates) {
    if (gate.met !== false) continue;
    const message = `demanded: ${gate.demand}; found: ${gate.found}`;
    audit.observe('run.gate-missed', path, message, { gate: gate.id });
  }
  for (const { code, message } of document.warnings) {
    audit.observe('run.warning', path, `${code}: ${message}`, { code });
  }
  if (document.refusal !== null) {
    audit.observe('run.refused', path, document.refusal.message, { code: document.refusal.code });
  }
  const calibrated = Object.values(document.quantities).some((q) => q.calibrated);
  if (!calibrated) audit.observe('run.uncalibrated', path, 'no calibration record was in force when this run was made');
  if (!audit.has('run.changed') && !audit.has('run.damaged')) Object.assign(audit.supported, audit.recomputed);
  audit.measured.profile = document.profile;
  audit.measured.folder = basename(path);
}
