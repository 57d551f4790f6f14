import { DeviceError } from '../signal/errors.ts';
import { realTime, type TimeSource, wait } from '../transport/time.ts';
import { instrumentFamilies } from './families.ts';
import type { FoundDevice, InstrumentFamily } from './family.ts';

/** The instruments that are connected, and why some could not be looked for. Nothing is sent to any of them. */
export interface Discovery {
  devices: FoundDevice[];
  problems: string[];
}

type Loaders = Readonly<Record<string, () => Promise<Pick<InstrumentFamily, 'find'>>>>;

/** Looks once for instruments of every family. */
export async function findInstruments(families: Loaders = instrumentFamilies): Promise<Discovery> {
  const devices: FoundDevice[] = [];
  const problems: string[] = [];
  for (const [id, load] of Object.entries(families)) {
    try {
      devices.push(...(await (await load()).find()));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      problems.push(`${id}: ${error.message}. ${error.remedy}`);
    }
  }
  return { devices, problems };
}

/** An instrument that was plugged in or pulled out. */
export interface PlugChange {
  kind: 'appeared' | 'vanished';
  device: FoundDevice;
}

/** How often it is looked for changes. */
const lookEvery_ms = 1000;

/** Reports instruments as they come and go, those that are there first, until the signal ends it. */
export async function watchInstruments(
  onChange: (change: PlugChange) => void,
  signal: AbortSignal,
  { families = instrumentFamilies, time = realTime }: { families?: Loaders; time?: TimeSource } = {},
): Promise<void> {
  let known = new Map<string, FoundDevice>();
  while (!signal.aborted) {
    const { devices } = await findInstruments(families);
    const now = new Map(devices.map((device) => [`${device.family} ${device.connection} ${device.serial}`, device]));
    for (const [key, device] of known) if (!now.has(key)) onChange({ kind: 'vanished', device });
    for (const [key, device] of now) if (!known.has(key)) onChange({ kind: 'appeared', device });
    known = now;
    await wait(time, lookEvery_ms);
  }
}
