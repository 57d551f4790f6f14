import type { ByteStream } from '../../transport/byte-stream.ts';
import type { EmulatorOptions, FaultCatalogue } from '../emulator.ts';
import { callAt } from '../emulator-parts.ts';
import { readingOver } from '../reading.ts';
import { block, ScpiServer, serverFaults } from './server.ts';

export const wt310Faults: FaultCatalogue = {
  ...serverFaults,
  'no-data': 'the next reading is NAN',
  'over-range': 'the next reading is INF',
  'peak-over': 'the peak of the current exceeds its range during the next update',
  'no-updates': 'measures no more, but obeys (hold)',
};

/** Power is summed over so many parts of an update interval. */
const PARTS = 100;
const RANGES_V = [15, 30, 60, 150, 300, 600];
const RANGES_A = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20];
/** Readings are shown up to so much of a range. */
const OVER = 1.4;
const PEAK_OVER = 1 << 8;

type Reading = Record<'U' | 'I' | 'P', number>;

/** A Yokogawa WT310 with its updates, seen from its SCPI port. */
export class Wt310Emulator extends ScpiServer {
  readonly #made_ns: number;
  #interval_ms = 250;
  #isFloat = false;
  readonly #items: ('U' | 'I' | 'P')[] = ['U', 'I', 'P'];
  #itemCount = 3;
  #range = { V: null as number | null, A: null as number | null };
  #reading: Reading = { U: Number.NaN, I: Number.NaN, P: Number.NaN };
  #events = 0;
  #filter = 'NEVER';
  #waiting: (() => void)[] = [];
  #updates = 0;
  #timing_ns: number;
  #cancel: () => void = () => {};

  /** `stream` is the instrument's side of a connection. */
  constructor(stream: ByteStream, options: EmulatorOptions) {
    super(stream, options, {
      maker: 'YOKOGAWA',
      model: 'WT310',
      firmware: 'F1.03',
      serial: 'SIM-WT310-0001',
      faults: wt310Faults,
      noError: '0,"No error"',
    });
    this.#made_ns = options.time.now_ns();
    this.#timing_ns = this.#made_ns;
    const nothing = () => null;
    this.serve({
      'COMMunicate:REMote': nothing,
      'COMMunicate:HEADer': nothing,
      'COMMunicate:VERBose': nothing,
      'COMMunicate:WAIT': ([mask]) => this.#wait(Number(mask)),
      'INPut:CFACtor': nothing,
      'INPut:MODE': nothing,
      'INPut:VOLTage:AUTO': ([state]) => this.#auto('V', state!),
      'INPut:CURRent:AUTO': ([state]) => this.#auto('A', state!),
      'INPut:VOLTage:RANGe': ([value]) => this.#setRange('V', RANGES_V, value!),
      'INPut:CURRent:RANGe': ([value]) => this.#setRange('A', RANGES_A, value!),
      'SAMPle:RATE': ([rate]) => this.#setRate(rate!),
      'NUMeric:FORMat': ([format]) => {
        this.#isFloat = /^FLO/i.test(format!);
        return null;
      },
      'NUMeric:NORMal:NUMber': ([count]) => {
        this.#itemCount = Number(count);
        return null;
      },
      ...Object.fromEntries(
        [1, 2, 3].map((k) => [
          `NUMeric:NORMal:ITEM${k}`,
          ([item, element]: string[]) => {
            if (!['U', 'I', 'P'].includes(item!) || element !== '1') return this.error(-224, 'Illegal parameter value');
            this.#items[k - 1] = item as 'U' | 'I' | 'P';
            return null;
          },
        ]),
      ),
      'NUMeric:NORMal:VALue?': () => this.#values(),
      'STATus:FILTer1': ([edge]) => {
        this.#filter = edge!.toUpperCase();
        return null;
      },
      'STATus:EESR?': () => {
        const events = this.#events;
        this.#events = 0;
        return String(events);
      },
    });
    this.firstSample = this.sourceTime_s(this.#made_ns);
    this.#schedule();
  }

  stop(): void {
    this.#cancel();
  }

  #schedule(): void {
    const due_ns = this.#timing_ns + (this.#updates + 1) * this.#interval_ms * 1e6;
    this.#cancel = callAt(this.time, due_ns, () => {
      if (!this.has('no-updates')) this.#update();
      this.#updates++;
      this.#schedule();
    });
  }

  #update(): void {
    const from_s = this.sourceTime_s(this.#timing_ns) + (this.#updates * this.#interval_ms) / 1000;
    const { volts, amps, watts } = readingOver(this.source, from_s, this.#interval_ms / 1000, PARTS);
    this.#reading = { U: volts, I: amps, P: watts };
    const isOver = (range: number | null, value: number) => range !== null && Math.abs(value) > OVER * range;
    if (isOver(this.#range.V, this.#reading.U)) this.#reading.U = Number.POSITIVE_INFINITY;
    if (isOver(this.#range.A, this.#reading.I)) this.#reading.I = Number.POSITIVE_INFINITY;
    if (!Number.isFinite(this.#reading.U * this.#reading.I)) this.#reading.P = Number.POSITIVE_INFINITY;
    const sample = this.#updates;
    if (this.takeFault('no-data')) {
      this.#reading = { U: Number.NaN, I: Number.NaN, P: Number.NaN };
      this.faultsDone.push({ fault: 'no-data', sample });
    }
    if (this.takeFault('over-range')) {
      this.#reading = { U: this.#reading.U, I: Number.POSITIVE_INFINITY, P: Number.POSITIVE_INFINITY };
      this.faultsDone.push({ fault: 'over-range', sample });
    }
    if (this.takeFault('peak-over')) {
      this.#events |= PEAK_OVER;
      this.faultsDone.push({ fault: 'peak-over', sample });
    }
    // The bit UPD falls when an update is complete, and only a filter that looks for that makes it an event.
    if (this.#filter === 'FALL') this.#events |= 1;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #wait(mask: number): Promise<null> {
    while ((this.#events & mask) === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return null;
  }

  #auto(quantity: 'V' | 'A', state: string): null {
    if (/^(ON|1)$/i.test(state)) this.#range[quantity] = null;
    return null;
  }

  #setRange(quantity: 'V' | 'A', ranges: readonly number[], text: string): null {
    const value = Number(text.replace(/[VA]$/i, ''));
    if (!ranges.includes(value)) return this.error(-222, 'Data out of range');
    this.#range[quantity] = value;
    return null;
  }

  #setRate(text: string): null {
    const match = /^([\d.]+)(M?)S$/i.exec(text);
    const interval_ms = match ? Number(match[1]) * (match[2] === '' ? 1000 : 1) : Number.NaN;
    if (![100, 250, 500, 1000, 2000, 5000].includes(interval_ms)) return this.error(-222, 'Data out of range');
    this.#interval_ms = interval_ms;
    this.#timing_ns = this.time.now_ns();
    this.#updates = 0;
    this.#cancel();
    this.#schedule();
    return null;
  }

  #values(): string | Uint8Array {
    const values = this.#items.slice(0, this.#itemCount).map((item) => this.#reading[item]);
    if (!this.#isFloat) return values.map(asText).join(',');
    const bytes = Buffer.alloc(4 * values.length);
    for (const [k, value] of values.entries()) {
      if (Number.isNaN(value)) bytes.writeUInt32BE(0x7e951bee, 4 * k);
      else if (Number.isFinite(value)) bytes.writeFloatBE(value, 4 * k);
      else bytes.writeUInt32BE(0x7e94f56a, 4 * k);
    }
    return block(bytes);
  }
}

/** Five figures and an exponent that is a multiple of three: `103.79E+00`. */
function asText(value: number): string {
  if (Number.isNaN(value)) return 'NAN';
  if (!Number.isFinite(value)) return 'INF';
  if (value === 0) return '0.0000E+00';
  let exponent = 3 * Math.floor(Math.log10(Math.abs(value)) / 3);
  let mantissa = Number((value / 10 ** exponent).toPrecision(5));
  if (Math.abs(mantissa) >= 1000) {
    mantissa /= 1000;
    exponent += 3;
  }
  const whole = String(Math.trunc(Math.abs(mantissa))).length;
  const sign = exponent < 0 ? '-' : '+';
  return `${mantissa.toFixed(5 - whole)}E${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
}
