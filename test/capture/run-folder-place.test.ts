import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runFolderAround } from '../../src/capture/files.ts';
import { capture, sealedRun, withTempFolder } from './support.ts';

describe('the place of a new run folder', () => {
  it('is not one that exists', () =>
    withTempFolder((temp) => {
      expect(() => capture(temp, [])).toThrow(/exists already/);
    }));

  it('is not below a file, which is told apart from a folder that exists', () =>
    withTempFolder((temp) => {
      writeFileSync(join(temp, 'file'), '');
      expect(() => capture(join(temp, 'file', 'run'), [])).toThrow(/cannot be made/);
    }));

  it('is not inside another run folder, at any depth, whose seal it would break', () =>
    withTempFolder((temp) => {
      const outer = join(temp, 'outer');
      sealedRun(outer);
      const before = readdirSync(outer);
      for (const inner of ['run', 'a/b/run']) {
        expect(() => capture(join(outer, inner), [])).toThrow(/lies inside the run folder .*outer/);
      }
      expect(readdirSync(outer)).toEqual(before);
    }));
});

describe('the run folder around a path', () => {
  it('is null beside one and for the folder itself', () =>
    withTempFolder((temp) => {
      sealedRun(join(temp, 'run'));
      mkdirSync(join(temp, 'other'));
      expect(runFolderAround(join(temp, 'run'))).toBeNull();
      expect(runFolderAround(join(temp, 'other', 'x.csv'))).toBeNull();
      expect(runFolderAround(join(temp, 'run', 'x.csv'))).toBe(join(temp, 'run'));
    }));
});
