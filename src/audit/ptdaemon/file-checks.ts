import { type LineEndMatch, matchHashLineEnds } from '../../capture/formats/ptdaemon/scan.ts';
import type { Observation } from '../types.ts';
import type { PowerAnalysis } from './analysis.ts';
import { type PartName, requiredFiles } from './find-runs.ts';
import { officialOn } from './official.ts';
import { type PowerRun, partPath } from './power-run.ts';

/** Which finding a missing file is. Missing ones that stop the arithmetic have a code of their own. */
const ownCode: Partial<Record<PartName, string>> = {
  'power/ptd_logs.txt': 'power.daemon-log-missing',
  'testing/spl.txt': 'power.samples-missing',
  'testing/mlperf_log_detail.txt': 'power.loadgen-missing',
};

/** Files that are missing, and files whose SHA-1 is not the one in the session records. */
export async function fileChecks(a: PowerAnalysis): Promise<Observation[]> {
  return [...missingFiles(a), ...(await hashes(a))];
}

function missingFiles(a: PowerAnalysis): Observation[] {
  const { site } = a.run;
  const missing = requiredFiles.filter((part) => site.files[part] === undefined);
  const official = officialOn(a.official, 'results');
  const own = missing.filter((part) => ownCode[part] !== undefined);
  const others = missing.filter((part) => ownCode[part] === undefined);
  const found: Observation[] = own.map((part) => ({
    code: ownCode[part] as string,
    path: site.path,
    message: `${submitted(part)} is missing`,
    evidence: { file: submitted(part), official },
  }));
  if (others.length > 0) {
    const files = others.map(submitted);
    const message = `required files are missing: ${files.join(', ')}`;
    found.push({ code: 'power.files-missing', path: site.path, message, evidence: { files, official } });
  }
  return found;
}

/** The name that the rules give a part. */
function submitted(part: string): string {
  return part.replace(/^testing\//, 'run_1/');
}

interface HashOutcome {
  file: string;
  path: string;
  match: LineEndMatch;
}

async function hashes(a: PowerAnalysis): Promise<Observation[]> {
  const { run } = a;
  if (run.client?.results == null && run.server?.results == null) return [];
  const outcomes: HashOutcome[] = [];
  const unlisted: string[] = [];
  for (const part of requiredFiles) {
    const found = run.sha1.get(part);
    if (found === undefined) continue;
    const expected = listed(run, part);
    // No record can list its own hash; the one of the client was listed by the server in v1.0 only.
    if (expected.length === 0 && !part.endsWith('.json')) unlisted.push(submitted(part));
    const wrong = expected.filter((sha1) => sha1.toLowerCase() !== found);
    if (wrong.length === 0) continue;
    const path = partPath(run.site, part);
    const matches = await Promise.all(wrong.map((sha1) => matchHashLineEnds(path, sha1.toLowerCase())));
    const match = matches.find((m) => m === 'differs') ?? (matches[0] as LineEndMatch);
    outcomes.push({ file: submitted(part), path, match });
  }
  return [...hashObservations(a, outcomes), ...unlistedObservation(a, unlisted)];
}

/** The hashes that the records state of a file, by the name on disk or the one that the rules give it. */
function listed(run: PowerRun, part: PartName): string[] {
  const names = new Set([submitted(part), run.site.files[part] as string]);
  const found = new Set<string>();
  for (const results of [run.client?.results, run.server?.results]) {
    if (results == null) continue;
    for (const name of names) if (Object.hasOwn(results, name)) found.add(results[name] as string);
  }
  return [...found];
}

function hashObservations(a: PowerAnalysis, outcomes: HashOutcome[]): Observation[] {
  const official = officialOn(a.official, 'results');
  const differing = outcomes.filter((o) => o.match === 'differs');
  const tolerated = outcomes.filter((o) => o.match !== 'differs');
  const found: Observation[] = differing.map(({ file, path }) => ({
    code: 'power.hash-differs',
    path,
    message: `${file} does not have the SHA-1 that the session recorded, whatever its line ends`,
    evidence: { file, official },
  }));
  if (tolerated.length > 0) {
    const files = tolerated.map(({ file, match }) => ({ file, conversion: match }));
    found.push({
      code: 'power.hash-line-ends',
      path: a.run.site.path,
      message: `${files.map((f) => f.file).join(', ')}: the recorded SHA-1 is that of the same text with ${endsOf(tolerated)} line ends`,
      evidence: { files, official },
    });
  }
  return found;
}

const endName: Readonly<Record<LineEndMatch, string>> = {
  'crlf-to-lf': 'LF',
  'lf-to-crlf': 'CR LF',
  mixed: 'LF and CR LF',
  differs: 'other',
};

function endsOf(outcomes: HashOutcome[]): string {
  return [...new Set(outcomes.map((o) => endName[o.match]))].join(' or ');
}

function unlistedObservation(a: PowerAnalysis, files: string[]): Observation[] {
  if (files.length === 0) return [];
  const message = `the session records state no SHA-1 of ${files.join(', ')}`;
  const evidence = { files, official: officialOn(a.official, 'results') };
  return [{ code: 'power.hash-missing', path: a.run.site.path, message, evidence }];
}
