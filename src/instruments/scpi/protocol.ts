/** Longer answers are no answers. */
const MAX_RESPONSE_BYTES = 1 << 26;

/** Why bytes cannot be an answer. */
export class ScpiSyntaxError extends Error {}

const LF = 0x0a;
const HASH = 0x23;
const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const ZERO = 0x30;
const NINE = 0x39;

/**
 * Cuts a stream of bytes into answers. An answer ends at a line feed; bytes inside a definite-length block
 * (`#<n><n digits of length><bytes>`) are passed over whatever they are.
 */
export class ScpiResponses {
  #buffer = new Uint8Array(1 << 12);
  #length = 0;
  /** Up to here the bytes have been looked at. */
  #scanned = 0;
  /** True where a block may begin. */
  #atElement = true;

  /** The answers that are complete. @throws ScpiSyntaxError for a block of an absurd length */
  push(chunk: Uint8Array): Uint8Array[] {
    if (this.#length + chunk.length > MAX_RESPONSE_BYTES) throw new ScpiSyntaxError('an answer of more than 64 MiB');
    this.#append(chunk);
    const out: Uint8Array[] = [];
    for (;;) {
      const end = this.#findEnd();
      if (end === null) return out;
      out.push(this.#buffer.slice(0, end));
      this.#buffer.copyWithin(0, end + 1, this.#length);
      this.#length -= end + 1;
      this.#scanned = 0;
      this.#atElement = true;
    }
  }

  #append(chunk: Uint8Array): void {
    if (this.#length + chunk.length > this.#buffer.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.#length + chunk.length)));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  /** Offset of the line feed that ends the first answer; null while it has not come. */
  #findEnd(): number | null {
    while (this.#scanned < this.#length) {
      const byte = this.#buffer[this.#scanned]!;
      if (byte === LF) return this.#scanned;
      if (byte === HASH && this.#atElement) {
        const block = blockAt(this.#buffer, this.#scanned, this.#length);
        if (block === 'more') return null;
        if (block !== null) {
          if (block.end > MAX_RESPONSE_BYTES) throw new ScpiSyntaxError(`a block of ${block.end - block.start} bytes`);
          if (block.end > this.#length) return null;
          this.#scanned = block.end;
          this.#atElement = false;
          continue;
        }
      }
      this.#atElement = byte === COMMA || byte === SEMICOLON || (this.#atElement && byte === 0x20);
      this.#scanned++;
    }
    return null;
  }
}

/** Where the bytes of the block lie whose `#` stands at `at`; null if it is none, `more` if its head is not complete. */
function blockAt(bytes: Uint8Array, at: number, length: number): { start: number; end: number } | 'more' | null {
  if (at + 1 >= length) return 'more';
  const digits = bytes[at + 1]! - ZERO;
  if (digits < 1 || digits > 9) return null;
  const start = at + 2 + digits;
  let size = 0;
  for (let k = at + 2; k < start; k++) {
    if (k >= length) return 'more';
    if (bytes[k]! < ZERO || bytes[k]! > NINE) return null;
    size = 10 * size + bytes[k]! - ZERO;
  }
  return { start, end: start + size };
}

/** The bytes of the definite-length block that an answer consists of, or null if it is none. */
export function blockOf(answer: Uint8Array): Uint8Array | null {
  if (answer[0] !== HASH) return null;
  const block = blockAt(answer, 0, answer.length);
  return block === null || block === 'more' || block.end > answer.length
    ? null
    : answer.subarray(block.start, block.end);
}

/** SCPI's own numbers for infinity and for "not a number"; instruments give them with fewer or more digits. */
const SCPI_INFINITY = 9.9e37;
const SCPI_NAN = 9.91e37;

/**
 * A number of an answer: NaN for `NAN` and 9.91E37 (no data), infinity for `INF` and 9.9E37 (overload), null for what is
 * none of these.
 */
export function parseScpiNumber(text: string): number | null {
  const plain = text.trim().toUpperCase();
  const infinity = /^([+-]?)INF(INITY)?$/.exec(plain);
  if (infinity) return infinity[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (/^[+-]?NAN$/.test(plain)) return Number.NaN;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d+)?$/.test(plain)) return null;
  return fromScpi(Number(plain));
}

function fromScpi(value: number): number {
  if (Math.abs(value) < SCPI_INFINITY * (1 - 1e-6)) return value;
  return Math.abs(Math.abs(value) / SCPI_NAN - 1) < 1e-6 ? Number.NaN : Math.sign(value) * Number.POSITIVE_INFINITY;
}

/** What a WT3000 sends for "no data" and "over-range" in its binary format (its communication manual). */
const YOKOGAWA_NAN = 0x7e951bee;
const YOKOGAWA_INFINITY = 0x7e94f56a;

/** A big-endian float32 of a block, with the patterns that stand for "no data" and "over-range" in any of the models. */
export function floatAt(view: DataView, at: number): number {
  const bits = view.getUint32(at);
  if (bits === YOKOGAWA_NAN) return Number.NaN;
  if (bits === YOKOGAWA_INFINITY) return Number.POSITIVE_INFINITY;
  return fromScpi(view.getFloat32(at));
}

/** `<code>,"<text>"` of an error queue; code 0 is its end. Null if it is none. */
export function parseScpiError(text: string): { code: number; text: string } | null {
  const match = /^\s*([+-]?\d+)\s*,\s*"?(.*?)"?\s*$/.exec(text);
  return match ? { code: Number(match[1]), text: match[2]! } : null;
}
