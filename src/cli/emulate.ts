import { once } from 'node:events';
import { ioManagerKinds, serveDut } from '../dut/emulators/serve.ts';
import { instrumentFamilies } from '../instruments/families.ts';
import { parseSignal, signalTriggerLine } from '../instruments/signal-spec.ts';
import { UsageError } from '../signal/errors.ts';
import { realTime } from '../transport/time.ts';
import { type CommonOptions, choiceOption, numberOption } from './options.ts';
import { note, printJson } from './output.ts';

interface EmulateCommandOptions extends CommonOptions {
  signal?: string;
  fault?: string[];
  model?: string;
  mode?: string;
  kind?: string;
  sound?: string;
}

/** Serves an emulated instrument in real time until it is interrupted, and prints where it can be reached. */
export async function emulate(id: string, options: EmulateCommandOptions): Promise<void> {
  if (id === 'dut' || id === 'io-manager') return emulateDut(id, options);
  const load = Object.hasOwn(instrumentFamilies, id) ? instrumentFamilies[id] : undefined;
  if (load === undefined) {
    throw new UsageError('usage.family', {
      where: id,
      problem: 'there is no emulator of that name',
      remedy: `choose one of ${Object.keys(instrumentFamilies).join(', ')}, dut, io-manager`,
    });
  }
  const family = await load();
  const served = await family.serve({
    source: parseSignal(options.signal ?? 'dc:10mA'),
    time: realTime,
    inputs: [signalTriggerLine],
  });
  try {
    for (const fault of options.fault ?? []) served.emulator.inject(fault);
    const { address, emulator } = served;
    if (options.json) printJson({ schema: 'joulemark.emulate/1', family: id, address, serial: emulator.serial });
    else process.stdout.write(`${address}\n`);
    note(`${family.title}, SIMULATED, serial number ${emulator.serial}; Ctrl-C ends it`, options);
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  } finally {
    await served.close();
  }
}

/** Serves an emulated device under test on a PTY, by itself or behind an emulated IO manager, until it is interrupted. */
async function emulateDut(id: 'dut' | 'io-manager', options: EmulateCommandOptions): Promise<void> {
  const model = options.model ?? 'kws01';
  const mode = choiceOption(options.mode, 'mode', ['energy', 'performance']) ?? 'energy';
  const kind = choiceOption(options.kind, 'kind', ioManagerKinds) ?? 'uno';
  const sound_s = numberOption(options.sound, 'sound', { least: 1, whole: true });
  const isBoard = id === 'io-manager';
  const { address, close } = await serveDut({
    model,
    mode,
    faults: options.fault ?? [],
    ...(isBoard ? { ioManager: kind } : {}),
    ...(sound_s === undefined ? {} : { sound_s }),
  });
  try {
    const facts = { family: id, address, model, mode, ...(isBoard ? { kind } : {}) };
    if (options.json) printJson({ schema: 'joulemark.emulate/1', ...facts });
    else process.stdout.write(`${address}\n`);
    const what = isBoard ? `IO manager (${kind}) with a device under test behind it` : 'device under test';
    note(`${what}, SIMULATED, ${model} in ${mode} mode; Ctrl-C ends it`, options);
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  } finally {
    await close();
  }
}
