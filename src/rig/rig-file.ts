import { z } from 'zod';
import { virtualBenchmarks } from '../dut/virtual/index.ts';
import { virtualFaultKinds } from '../instruments/virtual/index.ts';

const positive = z.number().positive().finite();
const notNegative = z.number().nonnegative().finite();
const text = z.string().min(1).max(1000);

const instrumentSchema = z.strictObject({
  family: text
    .default('virtual')
    .describe('Instrument family, e.g. `ppk2`, `lpm01a`, `js110`; `virtual` is the built-in one.'),
  connection: text
    .default('auto')
    .describe(
      '`auto` looks for exactly one; `emulated` uses the built-in emulator; anything else is a path or serial number.',
    ),
  settings: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('Settings of that family. The virtual instrument knows `rate_Hz`, its samples a second.'),
});

const supplySchema = z.strictObject({
  voltage_V: positive.optional().describe('Set voltage. A real supply has no default.'),
  max_voltage_V: positive.optional().describe('The highest voltage that the DUT survives; a higher one is refused.'),
  current_limit_A: positive.optional().describe('The supply trips above this, where it can.'),
});

const dutSchema = z.strictObject({
  name: text.default('Joulemark virtual DUT').describe('As it appears in the report.'),
  connection: text
    .default('emulated')
    .describe('`emulated` is the built-in virtual DUT; anything else is the path of its serial port.'),
  model: z
    .enum(Object.keys(virtualBenchmarks) as [keyof typeof virtualBenchmarks])
    .optional()
    .describe('Which network the virtual DUT runs, where the profile does not say.'),
  error_rate: z.number().min(0).max(1).default(0.1).describe('Share of wrong answers that the virtual DUT gives.'),
});

const triggerSchema = z.strictObject({
  channel: text.default('D0').describe('Input of the instrument that is wired to the trigger pin of the DUT.'),
  hold_off_s: notNegative
    .optional()
    .describe(
      'After an accepted edge, further edges of that polarity are ignored for this long. Absent: as the profile says.',
    ),
  min_width_s: notNegative.optional().describe('Shorter pulses are deleted. Absent: as the profile says.'),
});

const signingSchema = z.strictObject({
  key: text.describe('Path of the private key that signs the run.'),
});

/** rig.yaml, version 1. */
export const rigSchema = z.strictObject({
  version: z.literal(1).describe('Version of this format.'),
  seed: z
    .int()
    .nonnegative()
    .default(1)
    .describe('Seed of everything that is simulated. The same seed gives the same run.'),
  profile: text
    .default('kws01')
    .describe('Benchmark profile: `kws01`, `ic01`, `ad01`, `vww01`, or `per-inference` (a window an inference).'),
  inferences: z.int().positive().optional().describe('Number of inferences of a `per-inference` run.'),
  slicing: z
    .enum(['auto', 'guard-band', 'proportional', 'energyrunner', 'mlc-runner', 'ptdaemon'])
    .default('auto')
    .describe('How windows are cut from samples.'),
  instrument: instrumentSchema.prefault({}),
  supply: supplySchema.optional(),
  dut: dutSchema.prefault({}),
  trigger: triggerSchema.prefault({}),
  signing: signingSchema.optional(),
  faults: z.array(z.enum(virtualFaultKinds)).default([]).describe('Faults that the virtual instrument shows.'),
});

/** A rig, checked, with its defaults filled in. */
export type Rig = z.infer<typeof rigSchema>;
