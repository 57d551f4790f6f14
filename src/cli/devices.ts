import { instrumentFamilies } from '../instruments/families.ts';
import type { FoundDevice } from '../instruments/family.ts';
import { printable } from '../report/text.ts';
import { DeviceError } from '../signal/errors.ts';
import type { CommonOptions } from './options.ts';
import { note, printJson } from './output.ts';

/** Lists the instruments that are connected, by their USB ids and serial numbers; nothing is sent to any of them. */
export async function devices(options: CommonOptions): Promise<void> {
  const found: FoundDevice[] = [];
  const problems: string[] = [];
  for (const [id, load] of Object.entries(instrumentFamilies)) {
    try {
      found.push(...(await (await load()).find()));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      problems.push(`${id}: ${error.message}. ${error.remedy}`);
    }
  }
  if (options.json) {
    printJson({ schema: 'joulemark.devices/1', devices: found, problems });
    return;
  }
  for (const { family, connection, serial, obstacle } of found) {
    const name = `${family}  ${printable(connection)}  ${printable(serial ?? 'serial number not told')}`;
    process.stdout.write(`${name}${obstacle === null ? '' : `\n  ${obstacle}`}\n`);
  }
  if (found.length === 0) process.stdout.write('no instrument was found\n');
  for (const problem of new Set(problems)) note(`could not look for ${problem}`, options);
}
