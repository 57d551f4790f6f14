import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { serveDut } from '../../src/dut/emulators/serve.ts';
import { openSerial } from '../../src/transport/serial.ts';
import { endOf, joulemark, startJoulemark } from '../support/cli.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';
import { noPty } from '../support/pty.ts';

if (noPty) console.warn(`faults of devices by the command line are not tested: ${noPty}`);

const { folder, remove } = temporaryFolder();
afterAll(remove);
let runs = 0;

interface Setup {
  faults?: string[];
  model?: string;
  mode?: 'energy' | 'performance';
  /** Of the rig file, under `dut:`. */
  dut?: string;
  /** Who runs it: a user id. */
  uid?: number;
  /** Done with the port before the run. */
  prepare?: (port: string) => Promise<() => Promise<void>>;
}

/** One run of the command line on an emulated DUT, and what it leaves. */
async function run({ faults = [], model = 'kws01', mode = 'energy', dut = 'inferences: 10', uid, prepare }: Setup) {
  const served = await serveDut({ model, mode, faults });
  const undo = await prepare?.(served.address);
  const name = join(folder, `run-${runs++}`);
  const rig = `${name}.yaml`;
  writeFileSync(
    rig,
    `version: 1\nprofile: kws01\ninstrument: {settings: {rate_Hz: 2000}}\ndut: {name: served, connection: ${served.address}, ${dut}}\n`,
  );
  const begun_ms = performance.now();
  try {
    const end = await endOf(startJoulemark(['run', rig, '--out', name], { uid }));
    const log = existsSync(name) ? readFileSync(join(name, 'log.txt'), 'utf8') : null;
    return { ...end, took_s: (performance.now() - begun_ms) / 1000, folder: name, log };
  } finally {
    await undo?.();
    await served.close();
  }
}

/** Message, and the seconds that it may take on a machine with other things to do. */
type Expected = [setup: Setup, stderr: RegExp, within_s: number];

const whileItIsLookedFor: Record<string, Expected> = {
  'that is silent': [{ faults: ['silent'] }, /no answer to `name` within 8000 ms, asked \d+ times/, 20],
  'that is slower than its limit': [{ faults: ['slow=9000'] }, /no answer to `name`/, 25],
  'with an error at its name': [{ faults: ['error@name'] }, /e-\[made up\]/, 20],
  'with an error at its profile': [{ faults: ['error@profile'] }, /e-\[made up\]/, 20],
  'that falls silent inside a line': [{ faults: ['half-line@profile'] }, /stopped inside a line: "m-rea"/, 20],
};

const underWay: Record<string, Expected> = {
  ...whileItIsLookedFor,
  'that runs another network': [{ model: 'ic01' }, /the DUT runs ic01, the profile is kws01/, 20],
  'that runs another network, before inferences are counted': [
    { model: 'ic01', dut: 'baud: 9600' },
    /the DUT runs ic01, the profile is kws01/,
    10,
  ],
  'with the firmware of another mode': [
    { mode: 'performance', dut: 'inferences: 10, baud: 115200' },
    /EE_CFG_ENERGY_MODE=1/,
    25,
  ],
  'with an error at its timestamp': [{ faults: ['error@timestamp'] }, /e-\[made up\]/, 20],
  'with an error at a download': [{ faults: ['error@db'] }, /e-\[made up\]/, 25],
  'with an error at an inference': [{ faults: ['error@infer'] }, /e-\[made up\]/, 25],
  'that does not answer a timestamp': [{ faults: ['mute@timestamp'] }, /no answer to `timestamp` within 5000 ms/, 25],
  'that stops inside the answer to a timestamp': [{ faults: ['half-line@timestamp'] }, /stopped inside a line/, 25],
  'that reboots at an inference': [{ faults: ['reboot@infer'] }, /booted|rebooted|restart/, 25],
  'whose port is closed at an inference': [{ faults: ['vanish@infer'] }, /vanished|no longer tells/, 25],
  'whose port is closed at a download': [{ faults: ['vanish@db'] }, /vanished|no longer tells/, 25],
};

describe.skipIf(noPty !== null).concurrent('joulemark run on a device under test', () => {
  for (const [name, [setup, message, within_s]] of Object.entries(underWay)) {
    test(`${name} ends with one error, exit code 2, its supply off and the capture kept`, async () => {
      const { status, stderr, took_s, log, folder: kept } = await run(setup);
      expect(stderr).toMatch(message);
      expect(stderr).not.toMatch(/^\s+at /m);
      expect(stderr).toContain(kept);
      expect(status).toBe(2);
      expect(took_s).toBeLessThan(within_s);
      expect(log).toMatch(/ session: e-\[/);
      expect(log).toMatch(/ emon: m-power\[off\]\n/);
      expect(joulemark(['verify', kept]).status).toBe(0);
      expect(existsSync(`${kept}-energyrunner`)).toBe(false);
    }, 60_000);
  }

  for (const [fault, message] of [
    ['silent', /no answer to `name`/],
    ['vanish@infer', /the device vanished/],
    ['error@infer', /e-\[made up\]/],
  ] as const) {
    test(`in a performance run keeps the capture too: ${fault}`, async () => {
      const dut = 'mode: performance, inferences: 10';
      const { status, stderr, log, folder: kept } = await run({ faults: [fault], mode: 'performance', dut });
      expect(stderr).toMatch(message);
      expect(status).toBe(2);
      expect(log).toMatch(/ session: e-\[/);
      expect(joulemark(['verify', kept]).status).toBe(0);
      expect(existsSync(`${kept}-energyrunner`)).toBe(false);
    }, 60_000);
  }

  test('whose port is busy ends with one error, exit code 2 and no run folder', async () => {
    const { status, stderr, log } = await run({
      prepare: async (port) => {
        const other = await openSerial(port, { baudRate: 9600 });
        return () => other.close();
      },
    });
    expect(stderr).toMatch(/another program uses the device\n {2}close the other program/);
    expect([status, log]).toEqual([2, null]);
  }, 60_000);

  test('that echoes is measured all the same', async () => {
    // Windows of ten inferences are too short.
    expect((await run({ faults: ['echo'] })).status).toBe(1);
  }, 60_000);

  test.skipIf(process.getuid?.() !== 0)(
    'whose port this user may not open names the group to join',
    async () => {
      const { status, stderr } = await run({
        uid: 65534,
        prepare: async (port) => {
          chmodSync(folder, 0o777);
          chmodSync(port, 0o620);
          return async () => {};
        },
      });
      expect(stderr).toMatch(/no permission to open the device\n {2}add yourself to its group `\w+`/);
      expect(status).toBe(2);
    },
    60_000,
  );
});
