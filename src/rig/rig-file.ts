import { readFile } from 'node:fs/promises';
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { z } from 'zod';
import { benchmarkRuns } from '../dut/scripts/benchmarks.ts';
import { virtualBenchmarks } from '../dut/virtual/index.ts';
import { instrumentFamilies } from '../instruments/families.ts';
import {
  defaultRate_Hz,
  mostDelay_s,
  type VirtualInstrumentSettings,
  virtualFaultKinds,
  virtualRanges,
} from '../instruments/virtual/index.ts';
import { UsageError } from '../signal/errors.ts';

const positive = z.number().positive().finite();
const notNegative = z.number().nonnegative().finite();
// A line break in a name would break the run's text log.
const text = z
  .string()
  .max(1000)
  .regex(/^\P{Cc}+$/u, 'must be text without control characters');

/** A group delay beyond this is no delay of an analog path. */
const delay_s = z.number().min(-0.01).max(0.01);
const groupDelay = z.union([delay_s, z.strictObject({ value: delay_s, u: notNegative })]);

const instrumentSchema = z.strictObject({
  family: text
    .default('virtual')
    .describe('Instrument family, e.g. `ppk2`, `lpm01a`, `js110`; `virtual` is the built-in one.'),
  connection: text
    .default('auto')
    .describe(
      '`auto` looks for exactly one; `emulated` uses the built-in emulator; anything else is the path of its port.',
    ),
  settings: z
    .record(z.string(), z.unknown())
    .default({})
    .describe(
      'Settings of that family. The virtual instrument knows `rate_Hz`, its samples a second, and `analog_delay_s` and `analog_lag_s`, how late each of its ranges is.',
    ),
  group_delay_s: z
    .union([groupDelay, z.record(text, groupDelay)], {
      error: 'must be a delay in s (at most 0.01), `{value, u}`, or one of these for each range by name or index',
    })
    .optional()
    .describe(
      'Delay of the analog path against the pins in s, t(50 % current) - t(edge): a number, `{value, u}` with its standard uncertainty, or one of these for each range by name or index. Absent: as the instrument says, mostly not known.',
    ),
});

/** Above this nothing is a supply of a device under test, and sums of simulated energies stay finite. */
const volts = positive.max(1000);

const supplySchema = z.strictObject({
  voltage_V: volts.optional().describe('Set voltage. A real supply has no default.'),
  max_voltage_V: volts.optional().describe('The highest voltage that the DUT survives; a higher one is refused.'),
  current_limit_A: positive.optional().describe('The supply trips above this, where it can.'),
});

const dutSchema = z.strictObject({
  name: text.optional().describe('As it appears in the report. A real DUT has no default name.'),
  connection: text
    .default('auto')
    .describe(
      '`auto` is the virtual DUT beside an emulated instrument, else looks for exactly one; `emulated` is the virtual DUT; `qemu` is the firmware of firmware-hooks in QEMU; `pty` is the emulated DUT on a pseudo-terminal that the run serves itself; anything else is the path of its serial port.',
    ),
  model: z
    .enum(Object.keys(virtualBenchmarks) as [keyof typeof virtualBenchmarks])
    .optional()
    .describe('Which network the virtual DUT runs, where the profile does not say.'),
  error_rate: z.number().min(0).max(1).default(0.05).describe('Share of wrong answers that the virtual DUT gives.'),
  via: z
    .enum(['direct', 'io-manager'])
    .default('direct')
    .describe('Whether the serial port is that of the DUT, or that of an IO manager with the DUT behind it.'),
  mode: z
    .enum(['energy', 'performance', 'accuracy'])
    .default('energy')
    .describe('Which run of the benchmark a real DUT does; only that of energy needs an instrument.'),
  baud: z
    .int()
    .min(300)
    .max(4_000_000)
    .optional()
    .describe('Baud rate of a real DUT. Absent: 9600 in energy mode, else 115200.'),
  inputs: text
    .optional()
    .describe('Folder with y_labels.csv and the input files that a real DUT is fed; for `sww01` the list of sounds.'),
  inferences: z
    .int()
    .positive()
    .optional()
    .describe('Inferences in each window of a real DUT. Absent: measured, so that a window lasts 10 s.'),
});

const triggerSchema = z.strictObject({
  source: z
    .enum(['instrument', 'io-manager', 'gpio', 'cts', 'dsr', 'dut-messages', 'recording'])
    .default('instrument')
    .describe(
      'Where the edges of a DUT on a serial port come from: an input of the instrument, the timer of an UNO IO manager, a GPIO line of this computer, a control line of the port, the messages of the DUT, or the recording of a logic analyser.',
    ),
  gpio: z
    .strictObject({
      chip: text.describe('GPIO chip, e.g. `gpiochip0`.'),
      line: z.int().min(0).max(10_000).describe('Offset of the line on its chip.'),
      shortest_pulse_s: positive.optional().describe('Shortest pulse that it is known to see on this computer.'),
    })
    .optional()
    .describe('The line of `source: gpio`.'),
  file: text
    .optional()
    .describe('The file of `source: recording` (VCD, sigrok session, Saleae CSV); it may come when the run is over.'),
  file_channel: text
    .optional()
    .describe(
      'The line of that recording that is wired to the trigger pin of the DUT. Absent: the one named `channel`.',
    ),
  shared_channel: text
    .optional()
    .describe(
      'The line of that recording that is wired to the input `channel` of the instrument, so that its pulses relate the two clocks. Absent: both are on the trigger pin.',
    ),
  wait_s: notNegative.max(86_400).default(60).describe('How long that file is waited for after the run.'),
  channel: text.default('D0').describe('Input of the instrument that is wired to the trigger pin of the DUT.'),
  pulse_s: positive
    .max(1)
    .optional()
    .describe('How long the trigger pin of this DUT stays low at least, where that is known. Absent: 50 us.'),
  hold_off_s: notNegative
    .optional()
    .describe(
      'After an accepted edge, further edges of that polarity are ignored for this long. Absent: as the profile says.',
    ),
  min_width_s: notNegative.optional().describe('Shorter pulses are deleted. Absent: as the profile says.'),
  sync: z
    .union([
      z.enum(['none', 'pattern']),
      z.strictObject({
        order: z
          .union([z.literal(7), z.literal(9), z.literal(10), z.literal(11)], { error: 'must be 7, 9, 10 or 11' })
          .optional()
          .describe('The pattern has 2^order - 1 chips. Absent: 7.'),
        chip_s: positive
          .max(1)
          .optional()
          .describe('Length of a chip. Absent: 2 ms, or four samples where these take longer.'),
      }),
    ])
    .optional()
    .describe(
      'Coded pattern that the DUT plays on its pin and as its current, which relates the clock of the pin to that of the samples. Absent: `pattern` where an emulated instrument has no pin, else `none`.',
    ),
});

const signingSchema = z.strictObject({
  key: text.describe('Path of the private key that signs the run.'),
});

const rigSchema = z
  .strictObject({
    version: z.literal(1, 'must be 1, the version of this format').describe('Version of this format.'),
    seed: z
      .int()
      .nonnegative()
      .default(1)
      .describe('Seed of everything that is simulated. The same seed gives the same run.'),
    profile: text
      .default('kws01')
      .describe(
        'Benchmark profile: `kws01`, `ic01`, `ad01`, `vww01`, `sww01`, or `per-inference` (a window an inference).',
      ),
    inferences: z
      .int()
      .positive()
      .default(100)
      .describe('Number of inferences of a `per-inference` run; other profiles have their own.'),
    slicing: z
      .enum(['auto', 'guard-band', 'proportional', 'energyrunner', 'mlc-runner', 'ptdaemon'])
      .default('auto')
      .describe('How windows are cut from samples.'),
    instrument: instrumentSchema.prefault({}),
    supply: supplySchema.prefault({}),
    dut: dutSchema.prefault({}),
    trigger: triggerSchema.prefault({}),
    signing: signingSchema.optional(),
    faults: z
      .array(z.enum(virtualFaultKinds))
      .max(20)
      .default([])
      .describe('Faults that the virtual instrument shows, drawn from the seed.'),
  })
  .describe('Joulemark rig file, version 1');

const ofRange_s = z.number().min(0).max(mostDelay_s);
const ofEachRange = z
  .union([ofRange_s, z.array(ofRange_s).length(virtualRanges.length)], {
    error: `must be 0 to ${mostDelay_s} s, or a list of ${virtualRanges.length} of these, one for each range`,
  })
  .transform((value) => (typeof value === 'number' ? virtualRanges.map(() => value) : value))
  .optional();

const virtualSettingsSchema = z.strictObject({
  rate_Hz: z.number().min(10).max(1e6).default(defaultRate_Hz),
  analog_delay_s: ofEachRange,
  analog_lag_s: ofEachRange,
});

type ParsedRig = z.infer<typeof rigSchema>;

/** A rig, checked, with its defaults filled in and `auto` settled where no hardware is needed for it. */
export type Rig = Omit<ParsedRig, 'dut' | 'supply'> & {
  dut: Omit<ParsedRig['dut'], 'name'> & { name: string };
  /** Null where the rig file leaves the supply alone. */
  supply: { voltage_V: number; max_voltage_V: number; current_limit_A: number | null } | null;
};

/** The built-in rig, used where no rig file is given. */
export const defaultRigText = 'version: 1\n';

/** DUTs that need no name of their own, by their connection. */
const simulatedDutNames: ReadonlyMap<string, string> = new Map([
  ['emulated', 'Joulemark virtual DUT'],
  ['qemu', 'Joulemark microbit in QEMU'],
  ['pty', 'Joulemark emulated DUT'],
]);
/** Virtual DUT: a coin cell's voltage, and what a 3.3 V part survives. */
const virtualSupply = { voltage_V: 3, max_voltage_V: 3.6 };
/** What names of families and of profiles may be; each kind of run says which of them it can do. */
const families = ['virtual', ...Object.keys(instrumentFamilies)];
const profiles = [...new Set([...Object.keys(virtualBenchmarks), ...Object.keys(benchmarkRuns), 'per-inference'])];
const maximumLength = 65_536;

/** JSON Schema of rig.yaml, for editors: what a file may hold, before defaults are filled in. */
export function rigJsonSchema(): object {
  return z.toJSONSchema(rigSchema, { io: 'input' });
}

/** Settings of the virtual instrument, and of them what its identity in a run tells. The rig must have been parsed by `parseRig`. */
export function virtualSettings(rig: Rig): { settings: VirtualInstrumentSettings; facts: Record<string, unknown> } {
  const { rate_Hz, analog_delay_s, analog_lag_s } = virtualSettingsSchema.parse(rig.instrument.settings);
  const analog = {
    ...(analog_delay_s && { analogDelay_s: analog_delay_s }),
    ...(analog_lag_s && { analogLag_s: analog_lag_s }),
  };
  return { settings: { rate_Hz, channel: rig.trigger.channel, ...analog }, facts: { rate_Hz, ...analog } };
}

/**
 * Reads a rig file.
 * @throws UsageError with the line, what is wrong and what to do
 */
export async function readRigFile(path: string): Promise<{ text: string; rig: Rig }> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError('rig.unreadable', {
      where: path,
      problem: `the rig file cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      remedy: 'give the path of a rig file, or none for the built-in virtual rig',
      cause: error,
    });
  }
  return { text: content, rig: parseRig(content, path) };
}

/**
 * Parses and checks the text of a rig file; `where` names it in messages.
 * @throws UsageError with the line, what is wrong and what to do
 */
export function parseRig(content: string, where: string): Rig {
  const lines = new LineCounter();
  const document = parseYaml(content, where, lines);
  const locate = (path: readonly PropertyKey[], key?: string) => lineOf(document, lines, path, key);
  const fail = (code: string, path: readonly PropertyKey[], problem: string, remedy: string, key?: string): never => {
    throw new UsageError(code, { where: `${where}:${locate(path, key)}`, problem, remedy });
  };
  const check = <T>(schema: z.ZodType<T>, value: unknown, at: readonly PropertyKey[]): T => {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    // The first in the file, not the first in the schema.
    const found = result.error.issues
      .map((issue) => {
        const path = [...at, ...issue.path];
        const key = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
        return { issue, path, key, line: locate(path, key) };
      })
      .sort((a, b) => a.line - b.line)[0];
    const name = found.path.join('.');
    if (found.key !== undefined) {
      const known = knownKeys(schema, found.issue.path);
      return fail(
        'rig.unknown-key',
        found.path,
        `unknown key \`${found.key}\`${name === '' ? '' : ` in \`${name}\``}; the nearest known one is \`${nearest(found.key, known)}\``,
        `known keys here: ${known.join(', ')}`,
        found.key,
      );
    }
    const subject = name === '' ? 'the rig file' : `\`${name}\``;
    const { problem, inside } = toldOf(found.issue);
    const place = inside === '' ? subject : `\`${name}.${inside}\``;
    return fail('rig.invalid', found.path, `${place}: ${problem}`, 'docs/rig-file.md describes each key');
  };

  const parsed = check(rigSchema, plainValue(document, where), []);
  const { instrument, dut, supply } = parsed;
  if (!families.includes(instrument.family)) {
    const problem = `\`${instrument.family}\` is no instrument family`;
    fail('rig.instrument', ['instrument', 'family'], problem, `choose one of ${families.join(', ')}`);
  }
  if (!profiles.includes(parsed.profile)) {
    fail('rig.profile', ['profile'], `\`${parsed.profile}\` is no profile`, `choose one of ${profiles.join(', ')}`);
  }
  if (instrument.family === 'virtual') {
    if (instrument.connection === 'auto') instrument.connection = 'emulated';
    if (instrument.connection !== 'emulated') {
      fail(
        'rig.invalid',
        ['instrument', 'connection'],
        'the virtual instrument is always emulated',
        'leave `connection` out, or name the family of the instrument',
      );
    }
    instrument.settings = check(virtualSettingsSchema, instrument.settings, ['instrument', 'settings']);
  } else if (parsed.faults.length > 0) {
    fail('rig.invalid', ['faults'], 'only the virtual instrument shows faults on request', 'leave `faults` out');
  }
  const isEmulated = instrument.connection === 'emulated';
  if (isEmulated && dut.connection === 'auto') dut.connection = 'emulated';
  if (dut.connection === 'qemu' && instrument.family !== 'virtual') {
    fail(
      'rig.invalid',
      ['dut', 'connection'],
      'the DUT in QEMU is measured by the virtual instrument only',
      'use `family: virtual`',
    );
  }
  // The virtual DUT beside an emulated instrument: a simulated host may watch its pin instead.
  const hasHostPin =
    dut.connection === 'emulated' && instrument.family !== 'virtual' && parsed.trigger.source === 'gpio';
  if (['emulated', 'qemu'].includes(dut.connection) && parsed.trigger.source !== 'instrument' && !hasHostPin) {
    fail(
      'rig.trigger',
      ['trigger', 'source'],
      'no other source sees the pins of this simulated DUT than the instrument',
      'leave `source` out, or serve a DUT with `joulemark emulate dut` and name its port',
    );
  }
  if (dut.connection === 'emulated') {
    const idle = (['baud', 'inputs', 'inferences'] as const).find((key) => dut[key] !== undefined);
    const key = dut.via === 'direct' ? idle : 'via';
    if (key !== undefined) {
      fail(
        'rig.invalid',
        ['dut', key],
        `\`dut.${key}\` is for a DUT on a serial port, and the virtual DUT has none`,
        'leave it out, or say where the DUT is: `connection: pty` for an emulated one',
      );
    }
  }
  for (const [key, source] of [
    ['gpio', 'gpio'],
    ['file', 'recording'],
  ] as const) {
    if (parsed.trigger[key] !== undefined && parsed.trigger.source !== source) {
      fail(
        'rig.trigger',
        ['trigger', key],
        `\`trigger.${key}\` is for \`source: ${source}\`, and the source is \`${parsed.trigger.source}\``,
        `say \`source: ${source}\`, or leave \`${key}\` out`,
      );
    }
  }
  if (dut.mode !== 'energy' && parsed.trigger.sync !== undefined && parsed.trigger.sync !== 'none') {
    fail(
      'rig.trigger',
      ['trigger', 'sync'],
      `the ${dut.mode} run has no samples whose clock a pattern could relate`,
      'leave `sync` out, or run `mode: energy`',
    );
  }
  if (dut.connection === 'pty' && !isEmulated) {
    fail(
      'rig.invalid',
      ['dut', 'connection'],
      'the emulated DUT on a pseudo-terminal is measured by emulated instruments only',
      'use `family: virtual`, or `connection: emulated` under `instrument:`',
    );
  }
  const simulatedName = simulatedDutNames.get(dut.connection);
  if (dut.name === undefined && simulatedName === undefined) {
    fail('rig.invalid', ['dut'], 'a real DUT has no default name', 'add `name:` under `dut:`');
  }
  const name = dut.name ?? simulatedName!;
  return { ...parsed, dut: { ...dut, name }, supply: settleSupply(supply, isEmulated, fail) };
}

/** What an issue says: of a value that may have several forms, what is wrong inside the form that it has. */
function toldOf(issue: z.core.$ZodIssue): { problem: string; inside: string } {
  const forms = issue.code === 'invalid_union' ? issue.errors.map((form) => form[0]) : [];
  const within = forms.find((first) => first !== undefined && first.path.length > 0);
  return { problem: (within ?? issue).message, inside: within?.path.join('.') ?? '' };
}

/** A real supply has no default voltage; one that nobody speaks of is left alone. */
function settleSupply(
  supply: ParsedRig['supply'],
  isEmulated: boolean,
  fail: (code: string, path: string[], problem: string, remedy: string) => never,
): Rig['supply'] {
  if (!isEmulated && Object.keys(supply).length === 0) return null;
  const voltage_V = supply.voltage_V ?? (isEmulated ? virtualSupply.voltage_V : null);
  const max_voltage_V = supply.max_voltage_V ?? (isEmulated ? Math.max(virtualSupply.max_voltage_V, voltage_V!) : null);
  if (voltage_V === null) {
    return fail('rig.supply', ['supply'], 'a real supply has no default voltage', 'add `voltage_V:` under `supply:`');
  }
  if (max_voltage_V === null) {
    return fail(
      'rig.supply',
      ['supply'],
      'nothing says how much voltage the DUT survives',
      'add `max_voltage_V:` under `supply:`',
    );
  }
  if (voltage_V > max_voltage_V) {
    return fail(
      'rig.supply',
      ['supply', 'voltage_V'],
      `${voltage_V} V is above max_voltage_V, which is ${max_voltage_V} V`,
      'lower `voltage_V`, or raise `max_voltage_V` if the DUT survives it',
    );
  }
  return { voltage_V, max_voltage_V, current_limit_A: supply.current_limit_A ?? null };
}

function parseYaml(content: string, where: string, lines: LineCounter): Document {
  const syntax = (place: string, problem: string, cause?: unknown) =>
    new UsageError('rig.syntax', {
      where: place,
      problem,
      remedy: 'a rig file is one YAML document; docs/rig-file.md has examples',
      cause,
    });
  if (content.length > maximumLength) {
    throw syntax(where, `${content.length} characters are too many for a rig file (at most ${maximumLength})`);
  }
  let document: Document;
  try {
    document = parseDocument(content, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  } catch (error) {
    throw syntax(where, 'the YAML is nested too deeply', error);
  }
  const [error] = document.errors;
  if (error !== undefined) throw syntax(`${where}:${lines.linePos(error.pos[0]).line}`, error.message);
  return document;
}

function plainValue(document: Document, where: string): unknown {
  try {
    return document.toJS() ?? {};
  } catch (error) {
    throw new UsageError('rig.syntax', {
      where,
      problem: `the YAML cannot be resolved: ${error instanceof Error ? error.message : String(error)}`,
      remedy: 'write the values out instead of using anchors and aliases',
      cause: error,
    });
  }
}

/** Line of the deepest part of `path` (and of `key` in it) that the document has. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[], key?: string): number {
  let node: unknown = document.contents;
  let at = 0;
  for (const step of key === undefined ? path : [...path, key]) {
    if (isAlias(node)) node = node.resolve(document);
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (pair === undefined) break;
      at = (pair.key as Node).range?.[0] ?? at;
      next = pair.value;
    } else if (isSeq(node)) {
      next = node.items[Number(step)];
      at = (next as Node | undefined)?.range?.[0] ?? at;
    }
    node = next;
  }
  return Math.max(1, lines.linePos(at).line);
}

interface JsonSchemaNode {
  properties?: Record<string, JsonSchemaNode>;
  items?: JsonSchemaNode;
}

function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let node: JsonSchemaNode | undefined = z.toJSONSchema(schema, { io: 'input' }) as JsonSchemaNode;
  for (const step of path) node = typeof step === 'number' ? node?.items : node?.properties?.[String(step)];
  return Object.keys(node?.properties ?? {});
}

function nearest(word: string, known: readonly string[]): string {
  const distances = known.map((candidate) => editDistance(word.toLowerCase().slice(0, 100), candidate.toLowerCase()));
  return known[distances.indexOf(Math.min(...distances))];
}

/** Levenshtein distance: fewest insertions, deletions and replacements of one character. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, k) => k);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let k = 1; k <= b.length; k++) {
      next.push(Math.min(row[k] + 1, next[k - 1] + 1, row[k - 1] + (a[i - 1] === b[k - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
