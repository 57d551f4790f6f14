import { createHash, type Hash, hash } from 'node:crypto';
import { closeSync, openSync, writeSync, writevSync } from 'node:fs';
import { join } from 'node:path';
import { JoulemarkError } from '../signal/errors.ts';
import { captureFiles } from './run-header.ts';

/** One line of `chain.jsonl`: the hash of one block of one file, tied to the link before it. */
export interface ChainLink {
  /** Running number of the link. */
  n: number;
  file: string;
  /** Running number of the block in its file. */
  block: number;
  offset: number;
  length: number;
  sha256: string;
  /** SHA-256 of the previous line without its line feed; of `run.json` in the first line. */
  previous: string;
}

/** The last line of the chain of a capture that was closed. */
export interface ChainEnd {
  n: number;
  end: true;
  previous: string;
}

/** Writes `chain.jsonl`, one line a write, so that every line on disk is whole unless the process died inside that write. */
export class ChainWriter {
  readonly #fd: number;
  #n = 0;
  #previous: string;

  /** @param headerSha256 SHA-256 of `run.json`, which the first link points to */
  constructor(folder: string, headerSha256: string) {
    this.#fd = openSync(join(folder, captureFiles.chain), 'wx');
    this.#previous = headerSha256;
  }

  link(block: Omit<ChainLink, 'n' | 'previous'>): void {
    const { file, block: number, offset, length, sha256 } = block;
    this.#write({ n: this.#n, file, block: number, offset, length, sha256, previous: this.#previous });
  }

  end(): void {
    this.#write({ n: this.#n, end: true, previous: this.#previous });
    closeSync(this.#fd);
  }

  #write(line: ChainLink | ChainEnd): void {
    const text = JSON.stringify(line);
    writeSync(this.#fd, `${text}\n`);
    this.#previous = hash('sha256', text);
    this.#n += 1;
  }
}

/** What the manifest says of a file whose blocks stand in the chain. */
export interface ChainedFileSummary {
  size: number;
  /** Number of blocks. */
  blocks: number;
  /** SHA-256 over the blocks' SHA-256 values (32 bytes each) in order. */
  blocksSha256: string;
}

/** A file that grows by whole blocks: each goes out in one write, and its chain link after it. */
export class ChainedFile {
  readonly name: string;
  readonly #path: string;
  readonly #fd: number;
  readonly #chain: ChainWriter;
  readonly #digests: Hash = createHash('sha256');
  #size = 0;
  #blocks = 0;

  constructor(folder: string, name: string, chain: ChainWriter) {
    this.name = name;
    this.#path = join(folder, name);
    this.#fd = openSync(this.#path, 'wx');
    this.#chain = chain;
  }

  append(chunks: Uint8Array[]): void {
    const digest = createHash('sha256');
    let length = 0;
    for (const chunk of chunks) {
      digest.update(chunk);
      length += chunk.byteLength;
    }
    this.#write(chunks, length);
    const sha256 = digest.digest();
    this.#digests.update(sha256);
    this.#chain.link({
      file: this.name,
      block: this.#blocks,
      offset: this.#size,
      length,
      sha256: sha256.toString('hex'),
    });
    this.#size += length;
    this.#blocks += 1;
  }

  close(): ChainedFileSummary {
    closeSync(this.#fd);
    return { size: this.#size, blocks: this.#blocks, blocksSha256: this.#digests.digest('hex') };
  }

  #write(chunks: Uint8Array[], length: number): void {
    try {
      let written = writevSync(this.#fd, chunks);
      // The kernel may take less than it was given, when the disk is nearly full or a write exceeds 2 GiB.
      while (written < length) {
        const rest = Buffer.concat(chunks).subarray(written);
        written += writeSync(this.#fd, rest);
      }
    } catch (cause) {
      throw new JoulemarkError('capture.write', {
        where: this.#path,
        problem: `cannot be written: ${(cause as Error).message}`,
        remedy: 'Free space on that disk. What was captured so far can be closed with `joulemark recover`.',
        cause,
      });
    }
  }
}
