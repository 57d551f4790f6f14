import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Compiles `dist/`, which `bin/joulemark.js` runs. Type errors are the business of `npm run check`, not of the tests. */
export default function build(): void {
  const root = resolve(import.meta.dirname, '../..');
  const tsc = join(root, 'node_modules', '.bin', 'tsc');
  const { stdout } = spawnSync(tsc, ['-p', 'tsconfig.build.json'], { cwd: root, encoding: 'utf8' });
  if (!existsSync(join(root, 'dist', 'cli', 'main.js'))) throw new Error(`the build failed:\n${stdout}`);
}
