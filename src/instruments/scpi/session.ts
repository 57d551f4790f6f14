import { DeviceError } from '../../signal/errors.ts';
import type { ByteStream, CloseReason } from '../../transport/byte-stream.ts';
import { alreadyClosed, silent } from '../../transport/errors.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import type { MessageDevice } from '../../transport/usbtmc.ts';
import { RequestQueue } from '../request-queue.ts';
import { blockOf, parseScpiError, parseScpiNumber, ScpiResponses, ScpiSyntaxError } from './protocol.ts';

const ASK_MS = 1500;
/** An error queue that never ends is no error queue. */
const MAX_ERRORS = 100;

/** How commands and answers travel: a stream of bytes, or messages. */
export interface ScpiLink {
  readonly name: string;
  readonly closed: Promise<CloseReason>;
  send(command: string): Promise<void>;
  /** The next answer, without its line feed. @throws DeviceError `device.silent`, `device.vanished`, `device.protocol` */
  receive(limit_ms: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

function garbled(where: string, error: ScpiSyntaxError): DeviceError {
  return new DeviceError('device.protocol', {
    where,
    problem: `no SCPI answer: ${error.message}`,
    remedy: 'check that this is the right instrument and the right port',
    cause: error,
  });
}

/** SCPI over TCP or a serial port. */
export function streamLink(stream: ByteStream, time: TimeSource = realTime): ScpiLink {
  const responses = new ScpiResponses();
  const answers: Uint8Array[] = [];
  let failure: DeviceError | null = null;
  let wake: () => void = () => {};
  stream.onData((chunk) => {
    if (failure) return;
    try {
      answers.push(...responses.push(chunk));
    } catch (error) {
      if (!(error instanceof ScpiSyntaxError)) throw error;
      failure = garbled(stream.name, error);
    }
    wake();
  });
  stream.closed.then((reason) => {
    failure ??= reason.kind === 'lost' ? reason.error : alreadyClosed(stream.name);
    wake();
  });
  return {
    name: stream.name,
    closed: stream.closed,
    send: (command) => stream.write(new TextEncoder().encode(`${command}\n`)),
    receive: (limit_ms) =>
      new Promise((resolve, reject) => {
        const settle = () => {
          const answer = answers.shift();
          if (answer === undefined && !failure) return;
          cancel();
          wake = () => {};
          if (answer === undefined) reject(failure);
          else resolve(answer);
        };
        const cancel = time.after(limit_ms, () => {
          wake = () => {};
          reject(silent(stream.name, 'a query', limit_ms));
        });
        wake = settle;
        settle();
      }),
    close: () => stream.close(),
  };
}

/** SCPI over USBTMC, where an answer is read only when one is due. */
export function messageLink(device: MessageDevice): ScpiLink {
  const responses = new ScpiResponses();
  const answers: Uint8Array[] = [];
  return {
    name: device.name,
    closed: device.closed,
    send: (command) => device.write(new TextEncoder().encode(`${command}\n`)),
    async receive(limit_ms) {
      while (answers.length === 0) {
        const bytes = await device.read(limit_ms);
        if (bytes.length === 0) throw silent(device.name, 'a query', limit_ms);
        try {
          answers.push(...responses.push(bytes));
        } catch (error) {
          throw error instanceof ScpiSyntaxError ? garbled(device.name, error) : error;
        }
      }
      return answers.shift()!;
    },
    close: () => device.close(),
  };
}

/** Commands, queries and the error queue, one after the other. */
export class ScpiSession {
  readonly #link: ScpiLink;
  readonly #errorQuery: string;
  readonly #queue = new RequestQueue(() => true);

  /** `errorQuery`: `SYST:ERR?`, or what the model calls it. */
  constructor(link: ScpiLink, errorQuery = 'SYST:ERR?') {
    this.#link = link;
    this.#errorQuery = errorQuery;
  }

  get name(): string {
    return this.#link.name;
  }

  /** Sends a command that has no answer. */
  command(text: string): Promise<void> {
    return this.#queue.inOrder(() => this.#link.send(text));
  }

  /** @throws DeviceError `device.silent` after `limit_ms`; nothing can be asked after that, as a late answer would confuse. */
  askBytes(query: string, limit_ms = ASK_MS): Promise<Uint8Array> {
    return this.#queue.inOrder(async () => {
      await this.#link.send(query);
      return this.#link.receive(limit_ms);
    });
  }

  async ask(query: string, limit_ms = ASK_MS): Promise<string> {
    const answer = await this.askBytes(query, limit_ms);
    return Buffer.from(answer).toString('latin1').trim();
  }

  /** @throws DeviceError `device.protocol` where the answer is no number */
  async askNumber(query: string): Promise<number> {
    const answer = await this.ask(query);
    const value = Number(answer);
    if (answer !== '' && Number.isFinite(value)) return value;
    throw this.unexpected(query, answer, 'a number');
  }

  /** @throws DeviceError `device.protocol` where the answer is no definite-length block */
  async askBlock(query: string, limit_ms = ASK_MS): Promise<Uint8Array> {
    const answer = await this.askBytes(query, limit_ms);
    const block = blockOf(answer);
    if (block) return block;
    throw this.unexpected(query, Buffer.from(answer.subarray(0, 60)).toString('latin1'), 'a definite-length block');
  }

  /**
   * Numbers that are separated by commas; NaN and infinities stand for no data and overload.
   * @throws DeviceError `device.protocol` where a field is no number
   */
  numbers(query: string, answer: string): Float64Array {
    const fields = answer.split(',');
    const values = new Float64Array(fields.length);
    for (const [k, field] of fields.entries()) {
      const value = parseScpiNumber(field);
      if (value === null) throw this.unexpected(query, field, 'a number');
      values[k] = value;
    }
    return values;
  }

  /** Empties the error queue. @returns its messages */
  async takeErrors(): Promise<string[]> {
    const errors: string[] = [];
    for (let k = 0; k < MAX_ERRORS; k++) {
      const answer = await this.ask(this.#errorQuery);
      const error = parseScpiError(answer);
      if (error === null) throw this.unexpected(this.#errorQuery, answer, 'a number and a text');
      if (error.code === 0) return errors;
      errors.push(`${error.code} ${error.text}`);
    }
    return errors;
  }

  /**
   * Sends the commands of a set-up and looks into the error queue afterwards.
   * @throws DeviceError `device.refused` with the instrument's own messages
   */
  async setUp(commands: readonly string[]): Promise<void> {
    for (const command of commands) await this.command(command);
    const errors = await this.takeErrors();
    if (errors.length === 0) return;
    throw new DeviceError('device.refused', {
      where: this.name,
      problem: `the instrument refused a setting: ${errors.join('; ')}`,
      remedy: 'compare the settings with the ranges and the options of this instrument',
    });
  }

  unexpected(query: string, answer: string, expected: string): DeviceError {
    return new DeviceError('device.protocol', {
      where: this.name,
      problem: `expected ${expected} after ${query}, found ${JSON.stringify(answer.slice(0, 60))}`,
      remedy: 'check the model and the firmware of this instrument; docs/instruments lists those that are known',
    });
  }
}
