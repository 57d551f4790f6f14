/**
 * Time of `joulemark --version` against `node -e 0`, the least that a command of Node can take. The two alternate, and
 * medians are compared.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const bin = join(import.meta.dirname, '..', '..', 'bin', 'joulemark.js');
const version: number[] = [];
const nothing: number[] = [];
for (let k = 0; k < 41; k++) {
  version.push(time([bin, '--version']));
  nothing.push(time(['-e', '0']));
}
const [a, b] = [median(version), median(nothing)];
console.log(`joulemark --version ${a.toFixed(1)} ms, node -e 0 ${b.toFixed(1)} ms: ratio ${(a / b).toFixed(2)}`);

function time(args: string[]): number {
  const start = performance.now();
  const { status } = spawnSync(process.execPath, args);
  if (status !== 0) throw new Error(`node ${args.join(' ')} failed`);
  return performance.now() - start;
}

function median(values: number[]): number {
  return values.sort((x, y) => x - y)[Math.floor(values.length / 2)];
}
