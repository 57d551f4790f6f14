import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseRig } from '../../src/rig/rig-file.ts';

const root = resolve(import.meta.dirname, '../..');

describe('the examples', () => {
  it.each(readdirSync(join(root, 'examples')))('%s is a rig file', (name) => {
    expect(parseRig(readFileSync(join(root, 'examples', name), 'utf8'), name).version).toBe(1);
  });

  it('are those that the README names', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    for (const [, name] of readme.matchAll(/examples\/([\w.-]+)/g)) {
      expect(readdirSync(join(root, 'examples'))).toContain(name);
    }
  });
});
