import { readdirSync } from 'node:fs';
import { auditPaths } from '../audit/audit.ts';
import { isAtLeast } from '../audit/document.ts';
import { findingEntry } from '../audit/findings.ts';
import type { Severity } from '../audit/types.ts';
import { explain } from '../report/audit/explain.ts';
import { renderAuditHtml } from '../report/audit/html.ts';
import { renderAuditMarkdown } from '../report/audit/markdown.ts';
import { renderAuditSarif } from '../report/audit/sarif.ts';
import { renderAuditTable } from '../report/audit/terminal.ts';
import { terminalStyle } from '../report/terminal-table.ts';
import { generatedBy } from '../rig/run-benchmark.ts';
import { ExitCode, UsageError } from '../signal/errors.ts';
import { readPublicKey } from './keys.ts';
import { type CommonOptions, choiceOption } from './options.ts';
import { assertNew, note, printJson, writeNew } from './output.ts';
import { printError } from './print-error.ts';
import { Progress } from './progress.ts';
import { version } from './version.ts';

interface AuditCommandOptions extends CommonOptions {
  labels?: string;
  index?: string[];
  trust?: string[];
  failOn?: string;
  md?: string;
  html?: string;
  sarif?: string;
  explain?: string;
  verbose?: boolean;
}

const severities: readonly Severity[] = ['error', 'warning', 'info'];

export async function audit(paths: string[], options: AuditCommandOptions): Promise<void> {
  if (options.explain !== undefined) {
    const text = explanationOf(options.explain);
    if (options.json) {
      const entry = findingEntry(options.explain);
      printJson({ schema: 'joulemark.audit-explain/1', code: options.explain, ...entry });
    } else process.stdout.write(`${text}\n`);
    return;
  }
  if (paths.length === 0) {
    throw new UsageError('usage.path', {
      where: 'audit',
      problem: 'no path was given',
      remedy: 'name the files or folders to audit',
    });
  }
  const failOn = choiceOption(options.failOn, 'fail-on', severities) ?? 'error';
  if (options.labels !== undefined) assertFolder(options.labels);
  const outputs = [options.md, options.html, options.sarif].filter((path) => path !== undefined);
  for (const path of outputs) assertNew(path);
  const progress = new Progress('auditing', options);
  const document = await auditPaths(paths, {
    labels: options.labels ?? null,
    index: options.index,
    trustedKeys: options.trust?.map(readPublicKey),
    onProgress: ({ done, total }) => total !== null && progress.update(done / total),
  }).finally(() => progress.stop());

  const reports: [string | undefined, () => string][] = [
    [options.md, () => renderAuditMarkdown(document)],
    [options.html, () => renderAuditHtml(document, generatedBy)],
    [options.sarif, () => renderAuditSarif(document, version)],
  ];
  for (const [path, render] of reports) {
    if (path === undefined) continue;
    writeNew(path, render());
    note(`Report: ${path}`, options);
  }
  if (options.json) printJson(document);
  else
    process.stdout.write(
      `${renderAuditTable(document, terminalStyle(process.stdout, process.env), options.verbose)}\n`,
    );

  if (document.claims.length === 0) {
    printError(
      `${paths.join(', ')}: no claim was found`,
      'Name a folder that holds results: EnergyRunner or MLCommons sessions, MLPerf Power sessions, or run folders.',
    );
    process.exitCode = ExitCode.cannot;
  } else if (document.findings.some((finding) => isAtLeast(finding.severity, failOn))) {
    process.exitCode = ExitCode.bad;
  }
}

function explanationOf(code: string): string {
  const text = explain(code, terminalStyle(process.stdout, process.env).columns);
  if (text !== null) return text;
  throw new UsageError('usage.code', {
    where: `--explain ${code}`,
    problem: 'there is no such finding',
    remedy: 'docs/findings.md lists every code',
  });
}

function assertFolder(path: string): void {
  try {
    readdirSync(path);
  } catch (cause) {
    throw new UsageError('usage.labels', {
      where: `--labels ${path}`,
      problem: `the folder cannot be read: ${(cause as Error).message}`,
      remedy: 'give the folder that holds the label lists (kws01.csv...)',
      cause,
    });
  }
}
