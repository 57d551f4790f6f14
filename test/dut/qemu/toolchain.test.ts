import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildQemuDut, missingQemuTools } from '../../../src/dut/qemu/toolchain.ts';

const folder = mkdtempSync(join(tmpdir(), 'joulemark-tools-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A program that prints one line, and ends as told. */
function fakeTool(name: string, prints: string, status = 0): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    `#!/bin/sh\n[ "$1" = --version ] && echo "${prints}" && exit 0\necho "${name} fails" >&2\nexit ${status}\n`,
  );
  chmodSync(path, 0o755);
  return path;
}

describe('the tools of the DUT in QEMU', () => {
  const compiler = fakeTool('cc', 'cc 12', 1);
  const armCompiler = fakeTool('arm-gcc', 'arm-gcc 12', 1);

  it.each([
    ['7.2.22', true],
    ['4.2.1', true],
    ['8.2.0', true],
    ['9.0.0', false],
    ['10.0.2', false],
    ['2.11.1', false],
  ])('take QEMU %s: %s', async (version, isSuitable) => {
    const qemu = fakeTool(`qemu-${version}`, `QEMU emulator version ${version} (Debian)`);
    const missing = await missingQemuTools({ qemu, armCompiler, compiler });
    expect(missing).toEqual(isSuitable ? [] : [`${qemu} of version 4.2 to 8`]);
  });

  it('are named where they do not run', async () => {
    const qemu = fakeTool('qemu', 'QEMU emulator version 7.2.0');
    expect(await missingQemuTools({ qemu, armCompiler: '/nowhere/gcc', compiler })).toEqual(['/nowhere/gcc']);
    await expect(buildQemuDut('energy', { qemu, armCompiler: '/nowhere/gcc', compiler })).rejects.toMatchObject({
      code: 'dependency.missing',
    });
  });

  it('are quoted where a compiler fails', async () => {
    const qemu = fakeTool('qemu', 'QEMU emulator version 7.2.0');
    await expect(buildQemuDut('energy', { qemu, armCompiler, compiler })).rejects.toMatchObject({
      code: 'qemu.build',
      message: expect.stringContaining('arm-gcc fails'),
    });
  });
});
