import { type FoundDut, findDuts, parseUsbId } from '../dut/discovery.ts';
import { instrumentFamilies } from '../instruments/families.ts';
import type { FoundDevice } from '../instruments/family.ts';
import { printable } from '../report/text.ts';
import { DeviceError, UsageError } from '../signal/errors.ts';
import { listSerial, openSerial } from '../transport/serial.ts';
import type { CommonOptions } from './options.ts';
import { note, printJson } from './output.ts';

interface DevicesCommandOptions extends CommonOptions {
  ask?: string[];
}

/**
 * Lists the instruments that are connected, by their USB ids and serial numbers; nothing is sent to any of them. DUTs and IO managers
 * look like any serial port, so they are asked, and only those whose USB ids are given.
 */
export async function devices(options: DevicesCommandOptions): Promise<void> {
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
  const asked = await askForDuts(options.ask ?? []);
  problems.push(...asked.problems);
  if (options.json) {
    printJson({ schema: 'joulemark.devices/1', devices: found, duts: asked.found, problems });
    return;
  }
  for (const { family, connection, serial, obstacle } of found) {
    const name = `${family}  ${printable(connection)}  ${printable(serial ?? 'serial number not told')}`;
    process.stdout.write(`${name}${obstacle === null ? '' : `\n  ${obstacle}`}\n`);
  }
  if (found.length === 0) process.stdout.write('no instrument was found\n');
  for (const { port, kind, baud, name, model } of asked.found) {
    const who = kind === 'dut' ? `${printable(name ?? 'no name')} (${printable(model ?? 'no model')})` : kind;
    process.stdout.write(`${kind === 'dut' ? 'dut' : 'io-manager'}  ${printable(port)}  ${who}, ${baud} baud\n`);
  }
  for (const problem of new Set(problems)) note(`could not look for ${problem}`, options);
}

async function askForDuts(ids: readonly string[]): Promise<{ found: FoundDut[]; problems: string[] }> {
  if (ids.length === 0) return { found: [], problems: [] };
  const parsed = ids.map((text) => {
    const id = parseUsbId(text);
    if (id !== null) return id;
    throw new UsageError('usage.usb-id', {
      where: `--ask ${text}`,
      problem: 'expected vendor and product of a USB device, such as 0483:374b',
      remedy: 'docs/dut.md lists those of usual boards',
    });
  });
  return findDuts(parsed, await listSerial(), (path, baudRate) => openSerial(path, { baudRate }));
}
