import type { ByteStream } from '../../transport/byte-stream.ts';
import type { EmulatorOptions, FaultCatalogue } from '../emulator.ts';
import { block, ScpiServer, serverFaults } from './server.ts';

export const dmm34465aFaults: FaultCatalogue = {
  ...serverFaults,
  'overload=': 'N readings are over the range',
  overflow: 'its memory has overflowed',
  'no-samples': 'takes no readings any more, but answers',
};

const MEMORY = 50_000;
const OVERFLOW = 1 << 14;
const RANGES_A = [1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1, 3];
/** Readings go up to so much of a range. */
const OVER = 1.2;

/** A Keysight 34465A that measures direct current, seen from its SCPI port. */
export class Dmm34465aEmulator extends ScpiServer {
  #range_A = 1;
  #period_s = 0.001;
  #count = 1;
  #start_ns: number | null = null;
  #stopped: number | null = null;
  /** Readings that have been fetched or overwritten. */
  #taken = 0;
  #overloadLeft = 0;
  #status = 0;

  /** `stream` is the instrument's side of a connection. */
  constructor(stream: ByteStream, options: EmulatorOptions) {
    super(stream, options, {
      maker: 'Keysight Technologies',
      model: '34465A',
      firmware: 'A.02.17-02.40-02.17-00.52-04-02',
      serial: 'SIM-34465A-0001',
      faults: dmm34465aFaults,
      noError: '+0,"No error"',
    });
    const nothing = () => null;
    this.serve({
      ABORt: () => {
        this.#stopped ??= this.#readings();
        return null;
      },
      'CONFigure:CURRent:DC': ([range]) => {
        const found = RANGES_A.find((each) => Math.abs(each / Number(range) - 1) < 1e-9);
        if (found === undefined) return this.error(-222, 'Data out of range');
        this.#range_A = found;
        return null;
      },
      'CURRent:DC:APERture': ([aperture]) =>
        Number(aperture) >= 20e-6 - 1e-12 ? null : this.error(-222, 'Data out of range'),
      'CURRent:DC:ZERO:AUTO': nothing,
      'SAMPle:SOURce': nothing,
      'SAMPle:TIMer': ([period]) => {
        this.#period_s = Number(period);
        return null;
      },
      'SAMPle:TIMer?': () => this.#period_s.toExponential(8).toUpperCase(),
      'SAMPle:COUNt': ([count]) => {
        this.#count = Number(count);
        return null;
      },
      'TRIGger:SOURce': nothing,
      INITiate: () => {
        this.#start_ns = this.time.now_ns();
        this.firstSample = this.sourceTime_s(this.#start_ns);
        this.#taken = 0;
        this.#stopped = null;
        return null;
      },
      'R?': ([count]) => this.#read(count === undefined ? Number.POSITIVE_INFINITY : Number(count)),
      'STATus:QUEStionable:CONDition?': () => `+${this.#status}`,
    });
  }

  override inject(fault: string): void {
    super.inject(fault);
    const overload = this.takeFault('overload');
    if (overload) this.#overloadLeft = overload.value;
    if (this.takeFault('overflow')) this.#status |= OVERFLOW;
    if (this.takeFault('no-samples')) this.#stopped = this.#readings();
  }

  stop(): void {
    this.#stopped ??= this.#readings();
  }

  #readings(): number {
    if (this.#start_ns === null) return 0;
    const elapsed_s = (this.time.now_ns() - this.#start_ns) / 1e9;
    return this.#stopped ?? Math.min(this.#count, Math.floor(elapsed_s / this.#period_s + 1e-9));
  }

  #read(count: number): Uint8Array {
    const readings = this.#readings();
    if (readings - this.#taken > MEMORY) {
      this.#taken = readings - MEMORY;
      this.#status |= OVERFLOW;
    }
    const n = Math.min(count, readings - this.#taken);
    const [current, voltage] = [new Float64Array(n), new Float64Array(n)];
    this.source.fillMeans((this.firstSample ?? 0) + this.#taken * this.#period_s, this.#period_s, n, current, voltage);
    this.#taken += n;
    const texts = Array.from(current, (value) => {
      const isOver = Math.abs(value) > OVER * this.#range_A || (this.#overloadLeft > 0 && this.#overloadLeft-- > 0);
      const reading = isOver ? 9.9e37 : value;
      const [mantissa = '', exponent = ''] = reading.toExponential(8).toUpperCase().split('E');
      const sign = exponent.startsWith('-') ? '-' : '+';
      return `${reading < 0 ? '' : '+'}${mantissa}E${sign}${exponent.slice(1).padStart(2, '0')}`;
    });
    return block(Buffer.from(texts.join(',')));
  }
}
