import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

/** The C sources for the DUT side. */
export const hooks = fileURLToPath(new URL('../../firmware-hooks/', import.meta.url));

const compiler = process.env.CC ?? 'cc';
const cppCompiler = process.env.CXX ?? 'c++';

/** Why C cannot be compiled for this machine, or null where it can. */
export const noCompiler: string | null =
  spawnSync(compiler, ['--version']).status === 0 ? null : `there is no C compiler (${compiler})`;
/** The same for C++. */
export const noCppCompiler: string | null =
  spawnSync(cppCompiler, ['--version']).status === 0 ? null : `there is no C++ compiler (${cppCompiler})`;

if (noCompiler !== null) console.warn(`Tests of firmware-hooks are skipped: ${noCompiler}.`);

/** Strict flags for the library's own code. */
const cFlags = ['-std=c99', '-pedantic', '-Wall', '-Wextra', '-Werror', '-Wshadow', '-Wconversion'];
const cppFlags = ['-x', 'c++', '-std=c++11', '-pedantic', '-Wall', '-Wextra', '-Werror'];

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface Program {
  sources: string[];
  includes: string[];
  options?: string[];
  language?: 'c' | 'c++';
}

/** Compiles files of firmware-hooks (paths relative to it) into a program for this machine. @returns its path */
export function compileHooks({ sources, includes, options = [], language = 'c' }: Program): string {
  const folder = mkdtempSync(join(tmpdir(), 'joulemark-hooks-'));
  folders.push(folder);
  const program = join(folder, 'program');
  execFileSync(
    language === 'c' ? compiler : cppCompiler,
    [
      ...(language === 'c' ? cFlags : cppFlags),
      ...['-O1', '-fsanitize=undefined', '-fno-sanitize-recover=all'],
      ...options,
      ...includes.map((folder) => `-I${join(hooks, folder)}`),
      ...sources.map((source) => join(hooks, source)),
      ...['-o', program],
    ],
    { stdio: ['ignore', 'inherit', 'pipe'] },
  );
  return program;
}

/** Runs a program to its end and gives what it printed. */
export function runProgram(path: string, input = ''): { stdout: string; stderr: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(path, { input, encoding: 'latin1', maxBuffer: 1 << 28 });
  return { stdout, stderr, status };
}

/** Checks that a sketch compiles against the stubs of Arduino. @throws with what the compiler says */
export function checkSketch(sketch: string, options: string[]): void {
  execFileSync(
    cppCompiler,
    [
      ...cppFlags,
      ...['-fsyntax-only', '-include', 'Arduino.h', `-I${join(hooks, 'test/stubs/arduino')}`],
      ...[...options, join(hooks, sketch)],
    ],
    { stdio: ['ignore', 'inherit', 'pipe'] },
  );
}
