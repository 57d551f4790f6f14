import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of its own below the system's temporary folder, removed by `remove`. */
export function temporaryFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'joulemark-test-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export interface SyntheticSession {
  rate_Hz?: number;
  /** One value a sample, as the file holds them. */
  values?: ArrayLike<number>;
  timestamps?: number[];
  /** N of each `infer`; its length is the number of inputs. */
  inferences?: number[];
  /** Text of results.txt; absent: no file. */
  results?: string;
  logLines?: string[];
}

/** The bytes of a `trace1-energy.bin`. */
export function traceBytes(values: ArrayLike<number>, rate_Hz = 1000): Buffer {
  const bytes = Buffer.alloc(5 + 4 * values.length);
  bytes[0] = 0xf1;
  bytes.writeFloatLE(rate_Hz, 1);
  for (let k = 0; k < values.length; k++) bytes.writeFloatLE(values[k]!, 5 + 4 * k);
  return bytes;
}

/** The log of a session made by the project, in EnergyRunner's grammar. */
export function logText(inferences: number[], extra: string[] = []): string {
  const lines = [
    'session: m-session-start-id[20240101120000]',
    'parser: m-bmark-run-name[ML Energy 1.0.1]-code[ulp-ml]',
    'parser: m-version[3.0.10]',
    'parser: m-bm-cfg-name[ulp-ml]-key[runMode]-val[bmark]',
    `parser: m-bm-cfg-name[ulp-ml]-key[iterInfer]-val[${inferences[0] ?? 77}]`,
    'io: [dut]: m-name-dut-[made up]',
    'io: [dut]: m-model-[kws01]',
    'emon: m-trace[on]',
    'io: m-dut-passthrough(timestamp)',
    ...inferences.flatMap((n, k) => [
      `parser: Command "bloadp "/data/kws01/input_${k}.bin""`,
      `parser: Command "io dut infer ${n} 1"`,
      `io: m-dut-passthrough(infer ${n} 1)`,
      'io: [dut]: m-warmup-start-1',
      'io: [dut]: m-warmup-done',
      `io: [dut]: m-infer-start-${n}`,
      'io: [dut]: m-infer-done',
      'io: [dut]: m-results-[0.1,0.9]',
    ]),
    'emon: m-regfile-fn[trace1-energy.bin]-type[emon]-name[lpm01a]',
    'emon: m-trace[off]',
    'emon: m-voltage-mv[3000]',
    ...extra,
    'session: m-session-stop-id[20240101120000]',
  ];
  return lines.map((line, k) => `${(k / 1000).toFixed(3).padStart(9, '0')} ${line}\n`).join('');
}

/** A run of five inputs: 12 s of 2 uJ a sample in each window, 1 uJ between them, in a trace of 80 s. */
export const fiveWindows = {
  timestamps: [0.01, 2, 14, 16, 28, 30, 42, 44, 56, 58, 70],
  values: Float32Array.from({ length: 80_000 }, (_, s) =>
    s / 1000 > 2 && (s / 1000 - 2) % 14 <= 12 && s < 70_001 ? 2 : 1,
  ),
  inferences: [100, 100, 100, 100, 100],
};

/** Writes a session; `without` leaves files out. */
export function writeSession(
  folder: string,
  session: SyntheticSession = {},
  without: ('trace' | 'timestamps' | 'log')[] = [],
): void {
  const { values, timestamps, inferences } = { ...fiveWindows, ...session };
  if (!without.includes('trace')) writeFileSync(join(folder, 'trace1-energy.bin'), traceBytes(values, session.rate_Hz));
  if (!without.includes('timestamps')) {
    writeFileSync(join(folder, 'trace1-timestamps.json'), JSON.stringify(timestamps, null, '\t'));
  }
  if (!without.includes('log')) writeFileSync(join(folder, 'log.txt'), logText(inferences, session.logLines));
  if (session.results !== undefined) writeFileSync(join(folder, 'results.txt'), session.results);
}
