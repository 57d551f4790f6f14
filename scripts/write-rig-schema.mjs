// Writes docs/rig.schema.json from the schema in src/rig/rig-file.ts (as built into dist).
import { writeFileSync } from 'node:fs';
import { rigJsonSchema } from '../dist/rig/rig-file.js';

writeFileSync(new URL('../docs/rig.schema.json', import.meta.url), `${JSON.stringify(rigJsonSchema(), null, 2)}\n`);
