import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');

/** Runs the import rule on a copy of the sources into which a violation can be planted. */
describe('the import rule', () => {
  let copy: string;

  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'joulemark-floors-'));
    for (const name of ['src', 'package.json', 'tsconfig.json', '.dependency-cruiser.cjs']) {
      cpSync(join(root, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  });
  afterEach(() => rmSync(copy, { recursive: true, force: true }));

  function check() {
    const bin = join(root, 'node_modules', '.bin', 'depcruise');
    const run = spawnSync(bin, ['--config', '.dependency-cruiser.cjs', 'src'], { cwd: copy, encoding: 'utf8' });
    return { status: run.status, text: run.stdout + run.stderr };
  }

  it('holds for the sources, and looks at all of them', () => {
    const { status, text } = check();
    expect(text).toMatch(/no dependency violations found/);
    expect(status).toBe(0);
    const cruised = Number(/\((\d+) modules/.exec(text)?.[1]);
    const files = readdirSync(join(copy, 'src'), { recursive: true, encoding: 'utf8' }).filter((f) =>
      f.endsWith('.ts'),
    );
    expect(cruised).toBeGreaterThanOrEqual(files.length);
  });

  it('finds an import from a higher floor', () => {
    writeFileSync(join(copy, 'src/signal/planted.ts'), "import '../scoring/metrics.ts';\n");
    const { status, text } = check();
    expect(status).not.toBe(0);
    expect(text).toContain('floor-signal');
  });

  it('finds an import from a room beside', () => {
    writeFileSync(join(copy, 'src/plant/planted.ts'), "import '../stats/quantile.ts';\n");
    expect(check().text).toContain('floor-plant');
  });

  it('finds a folder that has no floor', () => {
    mkdirSync(join(copy, 'src/cellar'));
    writeFileSync(join(copy, 'src/cellar/planted.ts'), "import '../signal/units.ts';\n");
    expect(check().text).toContain('known-rooms');
  });
});
