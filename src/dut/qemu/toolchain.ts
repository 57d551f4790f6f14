import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DeviceError } from '../../signal/errors.ts';
import type { DutMode } from '../protocol.ts';

/** The programs that the QEMU DUT needs: names to be found on PATH, or paths. */
export interface QemuTools {
  /** Emulator; its plugin API must be version 1 (QEMU 4.2 to 8.x). */
  qemu: string;
  /** GCC for bare Cortex-M. */
  armCompiler: string;
  /** C compiler of this machine, for the plugin. */
  compiler: string;
}

/** As Debian names them; the environment variables JOULEMARK_QEMU, JOULEMARK_ARM_CC and CC come first. */
export const defaultQemuTools = (): QemuTools => ({
  qemu: process.env.JOULEMARK_QEMU ?? 'qemu-system-arm',
  armCompiler: process.env.JOULEMARK_ARM_CC ?? 'arm-none-eabi-gcc',
  compiler: process.env.CC ?? 'cc',
});

/** `marks`: that of performance mode, which rests after each inference that it marks. */
export type QemuFirmware = DutMode | 'marks';

/** What `buildQemuDut` made, in a folder of its own. */
export interface QemuBuild {
  firmware: string;
  plugin: string;
  /** Deletes the folder. */
  remove(): Promise<void>;
}

const run = promisify(execFile);
/** Both `src` and `dist` stand beside it. */
const hooks = fileURLToPath(new URL('../../../firmware-hooks/', import.meta.url));

/** Major versions of QEMU whose plugin API is version 1. */
const pluginVersions = { from: 4, to: 8 };

/** What is missing on this machine, a phrase each: tools that do not run, or a QEMU whose plugin API is another one. */
export async function missingQemuTools(tools: QemuTools = defaultQemuTools()): Promise<string[]> {
  const { qemu, armCompiler, compiler } = tools;
  const versionOf = (tool: string) =>
    run(tool, ['--version']).then(
      ({ stdout }) => stdout,
      () => null,
    );
  const [emulator, ...compilers] = await Promise.all([qemu, armCompiler, compiler].map(versionOf));
  const major = Number(/version (\d+)\./.exec(emulator ?? '')?.[1]);
  const isSuitable = major >= pluginVersions.from && major <= pluginVersions.to;
  return [
    ...(emulator === null
      ? [qemu]
      : isSuitable
        ? []
        : [`${qemu} of version ${pluginVersions.from}.2 to ${pluginVersions.to}`]),
    ...[armCompiler, compiler].filter((_, k) => compilers[k] === null),
  ];
}

/**
 * Compiles the firmware of firmware-hooks/ports/nrf51-qemu and the plugin of firmware-hooks/qemu.
 * @throws DeviceError `dependency.missing` where a tool is not there, `qemu.build` where a compiler fails
 */
export async function buildQemuDut(mode: QemuFirmware, tools: QemuTools = defaultQemuTools()): Promise<QemuBuild> {
  const missing = await missingQemuTools(tools);
  if (missing.length > 0) {
    throw new DeviceError('dependency.missing', {
      where: missing.join(', '),
      problem: 'the QEMU DUT cannot be built and run without it',
      remedy: 'on Debian: apt-get install qemu-system-arm gcc-arm-none-eabi gcc libc6-dev',
    });
  }
  const folder = await mkdtemp(join(tmpdir(), 'joulemark-qemu-'));
  const firmware = join(folder, `${mode}.elf`);
  const plugin = join(folder, 'edge_plugin.so');
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await run('sh', [join(hooks, 'ports/nrf51-qemu/build.sh'), firmware, mode], {
      env: { ...process.env, CC: tools.armCompiler },
    });
    await run(tools.compiler, ['-O2', '-shared', '-fPIC', '-o', plugin, join(hooks, 'qemu/edge_plugin.c')]);
  } catch (cause) {
    await remove();
    const { stderr, message } = cause as { stderr?: string; message: string };
    throw new DeviceError('qemu.build', {
      where: hooks,
      problem: `the firmware or the plugin does not compile: ${(stderr || message).trim().slice(0, 500)}`,
      remedy: 'check the compilers; docs/how-to-qemu.md says which were tested',
      cause,
    });
  }
  return { firmware, plugin, remove };
}
