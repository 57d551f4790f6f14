import { z } from 'zod';
import { DeviceError } from '../../signal/errors.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { LineChannel } from '../../transport/lines.ts';
import type { TimeSource } from '../../transport/time.ts';
import { RequestQueue } from '../request-queue.ts';
import { otiiProtocol } from './spec.ts';

const message = z.looseObject({
  type: z.enum(['response', 'error', 'progress', 'information']),
  trans_id: z.string().optional(),
  errorcode: z.string().optional(),
  info: z.string().optional(),
  data: z.unknown().optional(),
});

export type OtiiMessage = z.infer<typeof message>;

/** One line of the server, or null if it is none. */
export function parseOtiiMessage(line: string): OtiiMessage | null {
  let document: unknown;
  try {
    document = JSON.parse(line);
  } catch {
    return null;
  }
  const parsed = message.safeParse(document);
  return parsed.success ? parsed.data : null;
}

/** Samples of an analog channel. */
export interface OtiiAnalog {
  /** Of the first value, in s on the recording's clock. */
  timestamp_s: number;
  interval_s: number;
  /** NaN where the server gives none. */
  values: Float64Array;
}

const analog = z.looseObject({ timestamp: z.number(), interval: z.number().positive(), values: z.array(z.unknown()) });

/** The data of an analog channel, or null if they are none. */
export function parseAnalog(data: unknown): OtiiAnalog | null {
  const parsed = analog.safeParse(data);
  if (!parsed.success) return null;
  const { timestamp, interval, values } = parsed.data;
  const numbers = Float64Array.from(values, (value) => (typeof value === 'number' ? value : Number.NaN));
  return { timestamp_s: timestamp, interval_s: interval, values: numbers };
}

const digital = z.looseObject({
  values: z.array(z.looseObject({ timestamp: z.number(), value: z.union([z.boolean(), z.number()]) })),
});

/** The edges of a digital channel, or null if they are none. */
export function parseDigital(data: unknown): { timestamp_s: number; level: boolean }[] | null {
  const parsed = digital.safeParse(data);
  if (!parsed.success) return null;
  return parsed.data.values.map(({ timestamp, value }) => ({ timestamp_s: timestamp, level: Boolean(value) }));
}

/** An answer may take so long; each sign of progress gives it as much again. */
const REPLY_MS = 1500;
/** A reply of 40,000 values has less than a megabyte. */
const MAX_LINE = 1 << 25;

/** What the server said: its error code, word for word, is part of the message. */
function refusal(where: string, command: string, reply: OtiiMessage): DeviceError {
  const code = reply.errorcode ?? 'error without a code';
  const text = z.looseObject({ message: z.string() }).safeParse(reply.data);
  const isLicence = /licen[sc]e|log/i.test(code);
  return new DeviceError('device.refused', {
    where,
    problem: `the Otii server answered "${code}"${text.success ? ` (${text.data.message})` : ''} to ${command}`,
    remedy: isLicence
      ? 'log in with an account that has an Automation Toolbox licence (OTII_USERNAME and OTII_PASSWORD)'
      : 'look into the Otii application, and compare the settings with what this device can do',
  });
}

/** Requests and replies over one connection to an Otii server. */
export class OtiiClient {
  readonly #name: string;
  readonly #lines: LineChannel;
  readonly #onInformation: (text: string) => void;
  /** Replies carry the number of their request, so that a late one confuses nothing. */
  readonly #queue = new RequestQueue(() => false);
  #nextId = 1;

  /** `onInformation` gets what the server says without being asked. */
  constructor(stream: ByteStream, time: TimeSource, onInformation: (text: string) => void) {
    this.#name = stream.name;
    this.#lines = new LineChannel(stream, { lineEnd: '\r\n', maxLength: MAX_LINE, time });
    this.#onInformation = onInformation;
  }

  /** Waits for the server's greeting. @throws DeviceError `device.wrong`, `device.version`, `device.silent` */
  async greeting(): Promise<{ version: string | null }> {
    const line = await this.#lines.readLine(REPLY_MS);
    const greeting = parseOtiiMessage(line);
    const data = z
      .looseObject({ protocol_version: z.string(), otii_version: z.string().optional() })
      .safeParse(greeting?.data);
    if (greeting?.type !== 'information' || greeting.info !== 'connected' || !data.success) {
      throw new DeviceError('device.wrong', {
        where: this.#name,
        problem: `expected the greeting of an Otii server, found ${JSON.stringify(line.slice(0, 60))}`,
        remedy: 'switch on the TCP server in the Otii application (port 1905)',
      });
    }
    if (data.data.protocol_version !== otiiProtocol) {
      throw new DeviceError('device.version', {
        where: this.#name,
        problem: `the server speaks protocol ${data.data.protocol_version}, and only ${otiiProtocol} is known`,
        remedy: 'look for a newer Joulemark, or use another version of the Otii application',
      });
    }
    return { version: data.data.otii_version ?? null };
  }

  /**
   * One request and the data of its reply.
   * @throws DeviceError `device.refused` with the server's error code, `device.silent`, `device.protocol`, `device.vanished`
   */
  request(command: string, data: Record<string, unknown> = {}): Promise<unknown> {
    return this.#queue.inOrder(() => this.#exchange(command, data));
  }

  /** A request whose reply holds a value of a certain shape. */
  async ask<T>(shape: z.ZodType<T>, command: string, data: Record<string, unknown> = {}): Promise<T> {
    const reply = await this.request(command, data);
    const parsed = shape.safeParse(reply);
    if (parsed.success) return parsed.data;
    throw this.#unexpected(command, JSON.stringify(reply) ?? 'nothing');
  }

  /** @throws DeviceError `device.protocol` */
  must<T>(value: T | null, command: string): T {
    if (value !== null) return value;
    throw this.#unexpected(command, 'data of another form');
  }

  async #exchange(command: string, data: Record<string, unknown>): Promise<unknown> {
    const id = String(this.#nextId++);
    await this.#lines.writeLine(JSON.stringify({ type: 'request', cmd: command, data, trans_id: id }));
    for (;;) {
      const line = await this.#lines.readLine(REPLY_MS);
      const reply = parseOtiiMessage(line);
      if (reply === null) throw this.#unexpected(command, line);
      if (reply.type === 'information') this.#onInformation(reply.info ?? line);
      // Replies to requests that were given up have another id.
      else if (reply.trans_id !== id || reply.type === 'progress') continue;
      else if (reply.type === 'error') throw refusal(this.#name, command, reply);
      else return reply.data;
    }
  }

  #unexpected(command: string, found: string): DeviceError {
    return new DeviceError('device.protocol', {
      where: this.#name,
      problem: `no reply to ${command} can be read from ${JSON.stringify(found.slice(0, 80))}`,
      remedy: 'check the version of the Otii application; docs/instruments/otii.md says which protocol is known',
    });
  }
}
