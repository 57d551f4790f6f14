import { DeviceError } from '../signal/errors.ts';
import { type InstrumentIdentity, isSimulatedSerial } from './power-instrument.ts';

type Place = 'closed' | 'open' | 'configured' | 'sampling' | 'stopped';

/** Where each call is allowed, and what must have been called before it. */
const calls = {
  'configure()': { at: ['open', 'configured'], needed: 'open()' },
  'setVoltage()': { at: ['configured'], needed: 'configure(), before start()' },
  'start()': { at: ['configured'], needed: 'configure()' },
} as const satisfies Record<string, { at: readonly Place[]; needed: string }>;

/** Where a driver stands in the order of calls of a PowerInstrument, and who the instrument is that was opened. */
export class CallOrder {
  readonly #where: string;
  #place: Place = 'closed';
  #identity: InstrumentIdentity | null = null;

  /** `where` is the name of the connection. */
  constructor(where: string) {
    this.#where = where;
  }

  isClosed(): boolean {
    return this.#place === 'closed';
  }

  isSampling(): boolean {
    return this.#place === 'sampling';
  }

  moveTo(place: Exclude<Place, 'open'>): void {
    this.#place = place;
  }

  /** open() has succeeded. @returns the identity, with what follows from the serial number and the connection */
  opened(identity: Omit<InstrumentIdentity, 'simulated' | 'connection'>): InstrumentIdentity {
    this.#place = 'open';
    this.#identity = { ...identity, simulated: isSimulatedSerial(identity.serial), connection: this.#where };
    return this.#identity;
  }

  /** Null before open() has succeeded. */
  get identity(): InstrumentIdentity | null {
    return this.#identity;
  }

  /** @throws DeviceError `device.not-open` before open() has succeeded */
  describe(): InstrumentIdentity {
    if (!this.#identity) throw this.wrong('describe()', 'open()');
    return this.#identity;
  }

  /** @throws DeviceError `device.not-open` where the call is not allowed now */
  check(call: keyof typeof calls): void {
    const { at, needed } = calls[call];
    if (!(at as readonly Place[]).includes(this.#place)) throw this.wrong(call, needed);
  }

  /** `call` was made before `needed`. */
  wrong(call: string, needed: string): DeviceError {
    return new DeviceError('device.not-open', {
      where: this.#where,
      problem: `${call} was called out of order`,
      remedy: `call ${needed} first`,
    });
  }
}
