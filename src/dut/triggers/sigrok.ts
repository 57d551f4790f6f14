import yauzl from 'yauzl';
import { scanByteChanges } from '../../signal/bit-changes.ts';
import { FormatError } from '../../signal/errors.ts';
import type { Edge } from '../../signal/types.ts';
import type { LogicRecording } from './logic-recording.ts';
import { EdgeMaker } from './trigger-source.ts';

const clockId = 'logic-analyser';
const maxMetadataBytes = 1 << 20;
const mostEntries = 100_000;
const units: Record<string, number> = { Hz: 1, kHz: 1e3, MHz: 1e6, GHz: 1e9 };

interface Metadata {
  captureFile: string;
  rate_Hz: number;
  unitSize: number;
  /** Name of each probe; bit k of a sample is probe k. */
  probes: string[];
}

/**
 * Opens a sigrok session (`.sr`, version 1 and 2) for its digital probes. Samples are read a piece at a time; an edge lies in
 * the middle between two samples.
 * @throws FormatError where it is no session with logic data
 */
export async function openSigrok(path: string): Promise<LogicRecording> {
  const metadata = await readMetadata(path);
  return {
    path,
    format: 'sigrok',
    clock: { id: clockId, tickHz: metadata.rate_Hz, kind: 'file', epoch_ns: null },
    channels: metadata.probes,
    ticksPerSample: 1,
    edges: (channel) => changes(path, metadata, channel),
  };
}

async function* changes(path: string, metadata: Metadata, channel: string): AsyncGenerator<Edge[]> {
  const { captureFile, unitSize, probes } = metadata;
  const bit = probes.indexOf(channel);
  const offset = bit >> 3;
  const maker = new EdgeMaker(clockId, channel);
  let level = -1;
  let first = 0;
  let rest: Uint8Array = new Uint8Array(0);
  for await (const chunk of contentsOf(path, captureFile)) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const n = Math.floor(bytes.length / unitSize);
    rest = bytes.slice(n * unitSize);
    const lane = unitSize === 1 ? bytes : Uint8Array.from({ length: n }, (_, k) => bytes[k * unitSize + offset]!);
    const found: number[] = [];
    const before = level;
    level = scanByteChanges(lane, 1 << (bit & 7), level, found);
    let now = before < 0 ? level ^ (found.length & 1) : before;
    const edges = found.map((k) => {
      now ^= 1;
      return maker.edge(first + k - 0.5, now === 1 ? 'rise' : 'fall', 1 / Math.sqrt(12));
    });
    first += n;
    if (edges.length > 0) yield edges;
  }
  if (rest.length > 0) throw malformed(path, `the samples end with ${rest.length} of ${unitSize} bytes`);
}

async function readMetadata(path: string): Promise<Metadata> {
  const session = await openZip(path);
  try {
    const entry = session.entries.find(({ fileName }) => fileName === 'metadata');
    if (entry === undefined) throw malformed(path, 'there is no metadata in it');
    if (entry.uncompressedSize > maxMetadataBytes) throw malformed(path, 'its metadata is too long');
    const parts: Uint8Array[] = [];
    for await (const part of streamOf(session.zip, entry, path)) parts.push(part);
    return parseMetadata(Buffer.concat(parts).toString('utf8'), path);
  } finally {
    session.zip.close();
  }
}

/** GKeyFile: `key=value` under `[device 1]`. */
function parseMetadata(text: string, path: string): Metadata {
  const values = new Map<string, string>();
  let isDevice = false;
  for (const line of text.split(/\r?\n/)) {
    const section = /^\[(.*)\]$/.exec(line.trim());
    if (section) isDevice = section[1] === 'device 1';
    const pair = /^([^=]+)=(.*)$/.exec(line);
    if (isDevice && pair) values.set(pair[1]!.trim(), pair[2]!.trim());
  }
  const captureFile = values.get('capturefile');
  if (captureFile === undefined) throw malformed(path, 'it holds no logic data');
  const rate = /^(\d+(?:\.\d+)?) ?(Hz|kHz|MHz|GHz)?$/.exec(values.get('samplerate') ?? '');
  const rate_Hz = rate ? Number(rate[1]) * units[rate[2] ?? 'Hz']! : 0;
  if (!(rate_Hz > 0)) throw malformed(path, `its sample rate is ${JSON.stringify(values.get('samplerate') ?? '')}`);
  const count = Number(values.get('total probes') ?? Number.NaN);
  const unitSize = Number(values.get('unitsize') ?? Math.ceil(count / 8));
  if (!(Number.isInteger(count) && count >= 1 && count <= 1024)) throw malformed(path, 'it names no probes');
  if (!(Number.isInteger(unitSize) && unitSize >= 1 && unitSize <= 128 && unitSize * 8 >= count)) {
    throw malformed(path, `its unit size is ${values.get('unitsize')} for ${count} probes`);
  }
  const probes = Array.from({ length: count }, (_, k) => values.get(`probe${k + 1}`) ?? `${k + 1}`);
  return { captureFile, rate_Hz, unitSize, probes };
}

/** The samples: one file, or its pieces in order. */
async function* contentsOf(path: string, captureFile: string): AsyncGenerator<Uint8Array> {
  const session = await openZip(path);
  try {
    const pieces = session.entries
      .flatMap((entry) => {
        const { fileName } = entry;
        if (fileName === captureFile) return [{ entry, number: 0 }];
        const number = fileName.startsWith(`${captureFile}-`) ? fileName.slice(captureFile.length + 1) : '';
        return /^\d{1,9}$/.test(number) ? [{ entry, number: Number(number) }] : [];
      })
      .sort((a, b) => a.number - b.number);
    for (const [k, { number }] of pieces.entries()) {
      if (number !== 0 && number !== k + 1) throw malformed(path, `piece ${captureFile}-${k + 1} is missing`);
    }
    for (const { entry } of pieces) yield* streamOf(session.zip, entry, path);
  } finally {
    session.zip.close();
  }
}

async function openZip(path: string): Promise<{ zip: yauzl.ZipFile; entries: yauzl.Entry[] }> {
  const zip = await new Promise<yauzl.ZipFile>((resolve, reject) => {
    yauzl.open(path, { lazyEntries: true, autoClose: false }, (error, file) => {
      if (error) reject(malformed(path, `it is no ZIP file that can be read (${error.message})`, error));
      else resolve(file);
    });
  });
  try {
    const entries = await new Promise<yauzl.Entry[]>((resolve, reject) => {
      const found: yauzl.Entry[] = [];
      zip.on('error', (error) => reject(malformed(path, `its directory is damaged (${error.message})`, error)));
      zip.on('end', () => resolve(found));
      zip.on('entry', (entry) => {
        if (found.push(entry) > mostEntries) reject(malformed(path, 'it has too many entries'));
        else zip.readEntry();
      });
      zip.readEntry();
    });
    return { zip, entries };
  } catch (error) {
    zip.close();
    throw error;
  }
}

async function* streamOf(zip: yauzl.ZipFile, entry: yauzl.Entry, path: string): AsyncGenerator<Uint8Array> {
  try {
    const stream = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
      zip.openReadStream(entry, (error, opened) => (error ? reject(error) : resolve(opened)));
    });
    for await (const chunk of stream) yield chunk as unknown as Uint8Array;
  } catch (error) {
    throw malformed(path, `${entry.fileName} is damaged (${(error as Error).message})`, error);
  }
}

function malformed(path: string, problem: string, cause?: unknown): FormatError {
  return new FormatError('sigrok.malformed', {
    where: path,
    problem,
    remedy: 'save the session again with PulseView or sigrok-cli',
    cause,
  });
}
