import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AuditDocument } from '../../audit/document.ts';
import { findingEntry } from '../../audit/findings.ts';
import type { Severity } from '../../audit/types.ts';

const levels: Record<Severity, string> = { error: 'error', warning: 'warning', info: 'note' };

/**
 * An audit as SARIF 2.1.0 (OASIS), for the code scanning of CI systems: one rule a code, one result a finding.
 *
 * @param version of Joulemark
 */
export function renderAuditSarif(document: AuditDocument, version: string): string {
  const codes = [...new Set(document.findings.map((f) => f.code))].sort();
  const verdictOf = new Map(document.claims.map((claim) => [claim.id, claim.verdict]));
  const log = {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'Joulemark',
            version,
            rules: codes.map((id) => {
              const entry = findingEntry(id);
              return {
                id,
                name: id.replace(/(?:^|[.-])(\w)/g, (_, letter: string) => letter.toUpperCase()),
                shortDescription: { text: entry.title },
                fullDescription: { text: entry.explanation },
                help: { text: `${entry.rule}\nSource: ${entry.source}\nA submitter can say: ${entry.reply}` },
                defaultConfiguration: { level: levels[entry.severity] },
              };
            }),
          },
        },
        results: document.findings.map((f) => ({
          ruleId: f.code,
          ruleIndex: codes.indexOf(f.code),
          level: levels[f.severity],
          message: { text: f.message },
          locations: [{ physicalLocation: { artifactLocation: { uri: uriOf(f.path) } } }],
          properties: {
            claim: f.claim,
            verdict: f.claim === null ? null : (verdictOf.get(f.claim) ?? null),
            evidence: f.evidence,
          },
        })),
        properties: { summary: document.summary },
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

function uriOf(path: string): string {
  if (isAbsolute(path)) return pathToFileURL(path).href;
  return path.split(/[\\/]/).map(encodeName).join('/');
}

/** encodeURIComponent throws on lone surrogates, which a file name can hold. */
function encodeName(name: string): string {
  return encodeURIComponent(Buffer.from(name).toString());
}
