// Writes docs/audit.schema.json and docs/findings.md from the code (as built into dist).
import { writeFileSync } from 'node:fs';
import { auditJsonSchema } from '../dist/audit/schema.js';
import { findingsPage } from '../dist/report/audit/findings-page.js';

const docs = new URL('../docs/', import.meta.url);
writeFileSync(new URL('audit.schema.json', docs), `${JSON.stringify(auditJsonSchema(), null, 2)}\n`);
writeFileSync(new URL('findings.md', docs), findingsPage());
