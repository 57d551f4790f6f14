import { z } from 'zod';
import { FormatError } from '../signal/errors.ts';
import type { RunPlan } from '../signal/recording.ts';
import type { ClockInfo, StreamInfo } from '../signal/types.ts';

export const runFolderSchema = 'joulemark.run-folder/1';

/** What a run knows of itself before its first sample. It holds no wall time, host or path: those go to the manifest only. */
export interface RunHeader {
  simulated: boolean;
  clocks: ClockInfo[];
  streams: StreamInfo[];
  plan: RunPlan | null;
  provenance: Record<string, unknown>;
}

/** A file that the run starts with (the rig file, a calibration record), bound by its hash. */
export interface Attachment {
  /** Name inside the run folder, `/` between folders. */
  name: string;
  size: number;
  sha256: string;
}

/** `run.json`: the header together with the files that the run started with. */
export interface RunHeaderFile extends RunHeader {
  attachments: Attachment[];
}

/** Files that the capture writes itself; no attachment may take these names. */
export const captureFiles = {
  header: 'run.json',
  edges: 'edges.arrow',
  segments: 'segments.arrow',
  log: 'log.txt',
  chain: 'chain.jsonl',
  manifest: 'manifest.json',
} as const;

/** Name of the file that holds the samples of a stream. */
export function samplesFile(streamId: string): string {
  return `samples-${streamId}.arrow`;
}

/** Names of all files that grow as the run goes and whose every block has a link in the chain. */
export function chainedFiles(streams: StreamInfo[]): string[] {
  return [captureFiles.segments, captureFiles.edges, captureFiles.log, ...streams.map((s) => samplesFile(s.id))];
}

/** True for a name that stays inside the folder on every system: letters, digits, `.`, `-`, `_`, with `/` between folders. */
export function isSafeName(name: string): boolean {
  return name.length <= 200 && /^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/.test(name);
}

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

const clockInfo = z.looseObject({
  id: z.string(),
  tickHz: z.number().positive(),
  kind: z.enum(['instrument', 'host', 'dut', 'file', 'virtual']),
  epoch_ns: z.string().nullable(),
  latencyBound_s: z.number().min(0).nullable().optional(),
});

const quantity = z.enum(['current', 'voltage', 'power', 'energy']);

const streamInfo = z.looseObject({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,100}$/),
  rail: z.string(),
  clock: z.string(),
  ticksPerSample: z.number().positive().nullable(),
  quantities: z.array(quantity).max(4),
  precision: z.enum(['f32', 'f64']),
  semantics: z.enum(['mean-forward', 'mean-centred', 'point']),
  groupDelay_s: z.number().nullable(),
  u_groupDelay_s: z.number().min(0).nullable().optional(),
  scale: z.partialRecord(quantity, z.number()),
  assumedVoltage_V: z.number().nullable(),
  ranges: z.array(
    z.looseObject({
      index: z.number().int().min(0).max(255),
      name: z.string(),
      fullScale_A: z.number().nullable(),
      resolution_A: z.number().nullable(),
      noise_A: z.number().nullable(),
      groupDelay_s: z.number().nullable().optional(),
      u_groupDelay_s: z.number().min(0).nullable().optional(),
    }),
  ),
  logicInputs: z.array(z.string()),
  calibration: z.string().nullable(),
  hiddenLossUnit: z.number().int().positive().optional(),
});

const runPlan = z.looseObject({
  mode: z.enum(['performance', 'accuracy']).optional(),
  profile: z.string().nullable(),
  pairing: z.enum(['falling-pairs', 'level-high', 'toggle', 'marks']),
  channel: z.string(),
  stopChannel: z.string().optional(),
  answers: z.number().optional(),
  windows: z.number().nullable(),
  inferencesPerWindow: z.number().nullable(),
  holdOff_s: z.number(),
  minWidth_s: z.number(),
  pulse_s: z.number(),
  sync: z.looseObject({ order: z.number().int(), chip_s: z.number().positive(), channel: z.string() }).optional(),
});

const runHeaderFile = z.looseObject({
  schema: z.literal(runFolderSchema),
  simulated: z.boolean(),
  clocks: z.array(clockInfo),
  streams: z.array(streamInfo).max(1000),
  plan: runPlan.nullable(),
  provenance: z.record(z.string(), z.unknown()),
  attachments: z.array(z.looseObject({ name: z.string(), size: z.number().int().min(0), sha256: sha256Hex })),
});

/** The bytes of `run.json`. Same header, same bytes. */
export function encodeRunHeader(header: RunHeaderFile): Uint8Array {
  const { simulated, clocks, streams, plan, provenance, attachments } = header;
  const document = { schema: runFolderSchema, simulated, clocks, streams, plan, provenance, attachments };
  return Buffer.from(`${JSON.stringify(document, null, 2)}\n`);
}

/**
 * Reads `run.json`. Fields that it does not know are kept and ignored.
 * @param where path of the file, for the error message
 * @throws FormatError where the bytes are no run header of version 1
 */
export function decodeRunHeader(bytes: Uint8Array, where: string): RunHeaderFile {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError('format.run-header', {
      where,
      problem: `is not JSON: ${(cause as Error).message}`,
      remedy:
        'The header is written before the first sample; without it the samples have no meaning. Use another copy.',
      cause,
    });
  }
  const parsed = runHeaderFile.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new FormatError('format.run-header', {
      where: `${where} at ${issue.path.join('.') || 'top level'}`,
      problem: issue.message,
      remedy: `Expected a header of schema ${runFolderSchema}; see docs/run-folder.md.`,
    });
  }
  const header = parsed.data as RunHeaderFile;
  const clocks = new Set(header.clocks.map((clock) => clock.id));
  const names = new Set<string>();
  for (const stream of header.streams) {
    const problem = names.has(stream.id)
      ? `stream ${stream.id} appears twice`
      : clocks.has(stream.clock)
        ? null
        : `stream ${stream.id} counts on clock ${stream.clock}, which is not listed`;
    if (problem !== null) {
      throw new FormatError('format.run-header', { where, problem, remedy: 'The header contradicts itself.' });
    }
    names.add(stream.id);
  }
  for (const attachment of header.attachments) {
    if (!isSafeName(attachment.name)) {
      throw new FormatError('format.run-header', {
        where,
        problem: `attachment name ${JSON.stringify(attachment.name)} could leave the folder`,
        remedy: 'Do not trust this folder.',
      });
    }
  }
  return header;
}
