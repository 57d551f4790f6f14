import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { instrumentFamilies } from '../../src/instruments/families.ts';
import { ina226Faults } from '../../src/instruments/ina226/index.ts';
import { js110Faults } from '../../src/instruments/js110/index.ts';
import { lpm01aFaults } from '../../src/instruments/lpm01a/index.ts';
import { ppk2Faults } from '../../src/instruments/ppk2/index.ts';

const families: { family: string; faults: Readonly<Record<string, string>> }[] = [
  { family: 'ppk2', faults: ppk2Faults },
  { family: 'lpm01a', faults: lpm01aFaults },
  { family: 'js110', faults: js110Faults },
  { family: 'ina226', faults: ina226Faults },
];
for (const family of ['ina228', 'js220', 'monsoon', 'ptdaemon', 'wt310', 'n6705', '34465a', 'otii']) {
  families.push({ family, faults: (await instrumentFamilies[family]()).faults });
}

describe('the page of an instrument', () => {
  it.each(families)('$family lists exactly the faults of its emulator', ({ family, faults }) => {
    const page = readFileSync(new URL(`../../docs/instruments/${family}.md`, import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `([a-z0-9-]+=?)N?` +\| (.+?) +\|$/gm)].map(([, name, text]) => [name, text]);
    expect(Object.fromEntries(rows)).toEqual(faults);
  });

  it.each(families)('$family says what was tested only on an emulator', ({ family }) => {
    const page = readFileSync(new URL(`../../docs/instruments/${family}.md`, import.meta.url), 'utf8');
    expect(page).toContain('Tested only on an emulator');
  });
});
