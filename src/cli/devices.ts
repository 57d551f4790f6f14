import { type FoundDut, findDuts, parseUsbId } from '../dut/discovery.ts';
import { findInstruments, watchInstruments } from '../instruments/discovery.ts';
import type { FoundDevice } from '../instruments/family.ts';
import { printable } from '../report/text.ts';
import { UsageError } from '../signal/errors.ts';
import { listSerial, openSerial } from '../transport/serial.ts';
import type { CommonOptions } from './options.ts';
import { note, printJson } from './output.ts';

interface DevicesCommandOptions extends CommonOptions {
  ask?: string[];
  watch?: boolean;
}

/**
 * Lists the instruments that are connected, by their USB ids and serial numbers; nothing is sent to any of them. DUTs and IO managers
 * look like any serial port, so they are asked, and only those whose USB ids are given.
 */
export async function devices(options: DevicesCommandOptions): Promise<void> {
  if (options.watch) {
    await watch(options);
    return;
  }
  const { devices: found, problems } = await findInstruments();
  const asked = await askForDuts(options.ask ?? []);
  problems.push(...asked.problems);
  if (options.json) {
    printJson({ schema: 'joulemark.devices/1', devices: found, duts: asked.found, problems });
    return;
  }
  for (const device of found) process.stdout.write(`${describe(device)}\n`);
  if (found.length === 0) process.stdout.write('no instrument was found\n');
  for (const { port, kind, baud, name, model } of asked.found) {
    const who = kind === 'dut' ? `${printable(name ?? 'no name')} (${printable(model ?? 'no model')})` : kind;
    process.stdout.write(`${kind === 'dut' ? 'dut' : 'io-manager'}  ${printable(port)}  ${who}, ${baud} baud\n`);
  }
  for (const problem of new Set(problems)) note(`could not look for ${problem}`, options);
}

/** Tells of instruments as they are plugged in and pulled out, one line (or JSON document) each, until it is interrupted. */
async function watch(options: DevicesCommandOptions): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
  await watchInstruments(({ kind, device }) => {
    const line = options.json ? JSON.stringify({ kind, ...device }) : `${kind}  ${describe(device)}`;
    process.stdout.write(`${line}\n`);
  }, stop.signal);
}

function describe({ family, connection, serial, obstacle }: FoundDevice): string {
  const name = `${family}  ${printable(connection)}  ${printable(serial ?? 'serial number not told')}`;
  return obstacle === null ? name : `${name}\n  ${obstacle}`;
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
