import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { joulemark, temporaryFolder } from '../support/cli.ts';

describe('the group delay of ranges on the command line', () => {
  it('is measured from a run, declared in the rig file, and then part of the score', () => {
    const cwd = temporaryFolder();
    const rig = (declared: string) =>
      `version: 1\nprofile: per-inference\ninferences: 20\ninstrument:\n  settings: {rate_Hz: 50000, analog_delay_s: 1.2e-5}\n${declared}`;
    writeFileSync(join(cwd, 'rig.yaml'), rig(''));
    expect(joulemark(['run', 'rig.yaml', '--out', 'A', '--quiet'], { cwd }).status).toBe(0);
    const text = joulemark(['score', 'A', '--group-delay'], { cwd });
    expect(text.stdout).toMatch(/50 mA\s+1[12]\.\d+ ± 0\.\d+ us\s+-\s+1[12]\.\d+ us \(20\)/);
    // The rising flanks leave the range of the idle current.
    expect(text.stdout).toContain('[group-delay.few-steps]');
    const json = JSON.parse(joulemark(['score', 'A', '--group-delay', '--json'], { cwd }).stdout);
    const measured = json.groupDelay.ranges.find(({ name }: { name: string }) => name === '50 mA');
    expect(Math.abs(measured.delay_s - 12e-6)).toBeLessThan(3 * measured.u_s);
    expect(JSON.parse(joulemark(['score', 'A', '--json'], { cwd }).stdout)).not.toHaveProperty('groupDelay');

    const { delay_s, u_s } = measured;
    writeFileSync(join(cwd, 'known.yaml'), rig(`  group_delay_s: {value: ${delay_s}, u: ${u_s}}\n`));
    expect(joulemark(['run', 'known.yaml', '--out', 'B', '--quiet'], { cwd }).status).toBe(0);
    const scored = JSON.parse(joulemark(['score', 'B', '--json'], { cwd }).stdout);
    const { components } = scored.quantities.energyPerInference;
    expect(components.find(({ id }: { id: string }) => id === 'group-delay').u).toBeGreaterThan(0);
    expect(joulemark(['verify', 'B'], { cwd }).status).toBe(0);
  });
});
