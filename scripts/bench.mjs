// Runs the benchmarks that are named on the command line, or all of them, one after the other.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '..', 'dist-bench', 'bench');
const all = readdirSync(folder).filter((name) => name.endsWith('.js'));
const wanted = process.argv.slice(2).map((name) => `${name}.js`);
for (const name of wanted.length > 0 ? wanted : all) {
  if (!existsSync(join(folder, name))) {
    console.error(`no benchmark ${name}; there are ${all.join(', ')}`);
    process.exit(2);
  }
  console.log(`--- ${name.replace('.js', '')}`);
  const { status } = spawnSync(process.execPath, ['--expose-gc', join(folder, name)], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
