import { type FileHandle, open } from 'node:fs/promises';
import { endianness } from 'node:os';
import { FormatError } from '../../../signal/errors.ts';
import { unreadable } from '../lines.ts';

/** First byte of every `trace1-energy.bin`. */
export const TRACE_MARK = 0xf1;
const header_bytes = 5;
const chunk_samples = 65_536;
/** The fastest instrument that EnergyRunner supports samples at 2 MHz. */
const maxRate_Hz = 2e6;

/** What the header and the size of a `trace1-energy.bin` say. */
export interface TraceHeader {
  path: string;
  rate_Hz: number;
  samples: number;
}

/**
 * Checks the header and the size of a trace: byte 0 is 0xF1, bytes 1-4 the sample rate as float32 LE, then float32 LE
 * values to the end of the file. Throws a FormatError with the offset where it is anything else.
 */
export async function openTrace(path: string): Promise<TraceHeader> {
  return withFile(path, async (file) => {
    const { size } = await file.stat();
    const head = Buffer.alloc(header_bytes);
    const { bytesRead } = await file.read(head, 0, header_bytes, 0);
    if (bytesRead === 0) throw malformed('trace.empty', path, 0, 'the file is empty');
    if (head[0] !== TRACE_MARK) {
      const pointer =
        head.toString('latin1') === 'versi' ? '; it looks like a Git LFS pointer, not the file itself' : '';
      throw malformed('trace.mark', path, 0, `the first byte is ${hex(head[0]!)}, expected 0xF1${pointer}`);
    }
    if (bytesRead < header_bytes)
      throw malformed('trace.truncated', path, bytesRead, 'the header of 5 bytes is cut off');
    const rate_Hz = head.readFloatLE(1);
    if (!(rate_Hz > 0 && rate_Hz <= maxRate_Hz)) {
      throw malformed('trace.rate', path, 1, `the sample rate is ${rate_Hz} Hz, expected 1000`);
    }
    const rest = (size - header_bytes) % 4;
    if (rest !== 0) {
      throw malformed(
        'trace.truncated',
        path,
        size - rest,
        `${rest} bytes are left over after the last whole sample: the file was cut off, or bytes were added`,
      );
    }
    if (size === header_bytes) throw malformed('trace.empty', path, header_bytes, 'the file holds no samples');
    return { path, rate_Hz, samples: (size - header_bytes) / 4 };
  });
}

/** The values of a trace in chunks of at most 64 Ki; memory stays the same however long the file is. */
export async function* readTraceValues(header: TraceHeader): AsyncGenerator<Float32Array> {
  const { path, samples } = header;
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    for (let first = 0; first < samples; first += chunk_samples) {
      const values = new Float32Array(Math.min(chunk_samples, samples - first));
      const bytes = Buffer.from(values.buffer);
      const offset = header_bytes + 4 * first;
      await fill(file, bytes, offset, path);
      if (endianness() === 'BE') bytes.swap32();
      for (let k = 0; k < values.length; k++) {
        if (!Number.isFinite(values[k])) {
          throw malformed('trace.not-finite', path, offset + 4 * k, `sample ${first + k} is ${values[k]}`);
        }
      }
      yield values;
    }
  } finally {
    await file.close();
  }
}

async function fill(file: FileHandle, bytes: Buffer, offset: number, path: string): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, offset + done).catch((cause: unknown) => {
      throw unreadable(path, cause);
    });
    if (bytesRead === 0) {
      throw malformed('trace.truncated', path, offset + done, 'the file became shorter while it was read');
    }
    done += bytesRead;
  }
}

async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  let file: FileHandle | null = null;
  try {
    file = await open(path, 'r');
    return await use(file);
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw unreadable(path, error);
  } finally {
    await file?.close();
  }
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0').toUpperCase()}`;
}

function malformed(code: string, path: string, offset: number, problem: string): FormatError {
  return new FormatError(code, {
    where: `${path} at byte ${offset}`,
    problem,
    remedy: 'Take the trace as EnergyRunner wrote it; a damaged trace has no honest energy.',
  });
}
