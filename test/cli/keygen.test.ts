import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { joulemark, temporaryFolder } from '../support/cli.ts';

const short = ['--profile', 'per-inference', '--inferences', '5', '--quiet'];

describe('a signed run', () => {
  it('verifies with the key that signed it and with no other', () => {
    const cwd = temporaryFolder();
    expect(joulemark(['keygen', 'ours'], { cwd }).status).toBe(0);
    expect(joulemark(['keygen', 'theirs'], { cwd }).status).toBe(0);
    expect(statSync(join(cwd, 'ours.key.pem')).mode & 0o77).toBe(0);
    expect(joulemark(['run', '--sign', 'ours.key.pem', '--out', 'A', ...short], { cwd }).status).toBe(0);
    const trusted = joulemark(['verify', 'A', '--trust', 'ours.pub.pem', '--json'], { cwd });
    expect(trusted.status).toBe(0);
    expect(JSON.parse(trusted.stdout).signature).toBe('valid');
    expect(joulemark(['verify', 'A', '--trust', 'theirs.pub.pem'], { cwd }).status).toBe(1);
    // The result does not depend on who signed it.
    joulemark(['run', '--out', 'B', ...short], { cwd });
    expect(readFileSync(join(cwd, 'A', 'result.json'))).toEqual(readFileSync(join(cwd, 'B', 'result.json')));
  });

  it('never overwrites a key', () => {
    const cwd = temporaryFolder();
    joulemark(['keygen', 'ours'], { cwd });
    const before = readFileSync(join(cwd, 'ours.key.pem'), 'utf8');
    expect(joulemark(['keygen', 'ours'], { cwd }).status).toBe(2);
    expect(readFileSync(join(cwd, 'ours.key.pem'), 'utf8')).toBe(before);
  });

  it('refuses a file that is no private key, before anything is captured', () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'no.pem'), 'not a key');
    const { status, stderr } = joulemark(['run', '--sign', 'no.pem', '--out', 'A', ...short], { cwd });
    expect(status).toBe(2);
    expect(stderr).toContain('no.pem');
    expect(stderr).not.toContain('bug');
    expect(joulemark(['verify', 'A'], { cwd }).status).toBe(2);
  });
});
