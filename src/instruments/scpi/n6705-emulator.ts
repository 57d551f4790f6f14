import type { ByteStream } from '../../transport/byte-stream.ts';
import type { EmulatorOptions, FaultCatalogue } from '../emulator.ts';
import { block, ScpiServer, serverFaults } from './server.ts';

export const n6705Faults: FaultCatalogue = {
  ...serverFaults,
  trip: 'the over-current protection switches the output off',
  'nan=': 'N records hold 9.91E37',
  'no-samples': 'logs no more, but answers',
  'odd-block': 'the next block is cut in the middle of a number',
};

const STEP_S = 20.48e-6;
const BUFFER_S = 20;
const MAX_VOLT = 20.4;
const OVER_CURRENT = 2;

/** A Keysight N6705 with one module in channel 1, seen from its SCPI port. */
export class N6705Emulator extends ScpiServer {
  #hasVolts = true;
  #steps = 1000;
  #start_ns: number | null = null;
  /** Records that have been fetched or overwritten. */
  #taken = 0;
  #nanLeft = 0;
  #isFrozen: number | null = null;
  #volts = 0;
  #isOn = false;
  #status = 0;

  /** `stream` is the instrument's side of a connection. */
  constructor(stream: ByteStream, options: EmulatorOptions) {
    super(stream, options, {
      maker: 'Keysight Technologies',
      model: 'N6705C',
      firmware: 'E.02.05',
      serial: 'SIM-N6705-0001',
      faults: n6705Faults,
      noError: '+0,"No error"',
    });
    const nothing = () => null;
    this.serve({
      'SYSTem:CHANnel:MODel?': () => '"N6781A"',
      'SENSe:ELOG:FUNCtion:CURRent': nothing,
      'SENSe:ELOG:FUNCtion:CURRent:MINMax': nothing,
      'SENSe:ELOG:FUNCtion:VOLTage:MINMax': nothing,
      'SENSe:ELOG:FUNCtion:VOLTage': ([state]) => {
        this.#hasVolts = /^(ON|1)$/i.test(state!);
        return null;
      },
      'SENSe:ELOG:PERiod': ([period]) => this.#setPeriod(Number(period)),
      'SENSe:ELOG:PERiod?': () => (this.#steps * STEP_S).toExponential(8).toUpperCase(),
      FORMat: nothing,
      'FORMat:BORDer': nothing,
      'TRIGger:ELOG:SOURce': nothing,
      'INITiate:ELOG': nothing,
      'TRIGger:ELOG': () => {
        this.#start_ns = this.time.now_ns();
        this.#taken = 0;
        this.#isFrozen = null;
        this.firstSample = this.sourceTime_s(this.#start_ns);
        return null;
      },
      'ABORt:ELOG': () => {
        this.#start_ns = null;
        return null;
      },
      'FETCh:ELOG?': ([count]) => this.#fetch(Number(count)),
      'STATus:QUEStionable:CONDition?': () => `+${this.#status}`,
      VOLTage: ([value]) => {
        if (!(Number(value) >= 0 && Number(value) <= MAX_VOLT)) return this.error(-222, 'Data out of range');
        this.#volts = Number(value);
        this.#supplyChanged();
        return null;
      },
      'VOLTage?': ([what]) => (what === 'MAX' ? String(MAX_VOLT) : String(this.#volts)),
      CURRent: nothing,
      OUTPut: ([state]) => {
        this.#isOn = /^(ON|1)$/i.test(state!) && this.#status === 0;
        this.#supplyChanged();
        return null;
      },
      'OUTPut?': () => (this.#isOn ? '1' : '0'),
    });
  }

  override inject(fault: string): void {
    super.inject(fault);
    const nan = this.takeFault('nan');
    if (nan) this.#nanLeft = nan.value;
    if (this.takeFault('no-samples')) this.#isFrozen = this.#logged();
    if (this.takeFault('trip')) {
      this.#status = OVER_CURRENT;
      this.#isOn = false;
      this.#supplyChanged();
    }
  }

  stop(): void {
    this.#start_ns = null;
  }

  #supplyChanged(): void {
    this.options.onSupply?.(this.#isOn ? this.#volts : 0);
  }

  #setPeriod(period_s: number): null {
    const least = 5 * (this.#hasVolts ? 2 : 1);
    const steps = Math.round(period_s / STEP_S);
    if (!(steps >= least)) return this.error(-222, 'Data out of range');
    this.#steps = steps;
    return null;
  }

  /** Records taken since the trigger. */
  #logged(): number {
    if (this.#start_ns === null) return this.#taken;
    return this.#isFrozen ?? Math.floor((this.time.now_ns() - this.#start_ns) / 1e9 / (this.#steps * STEP_S) + 1e-9);
  }

  #fetch(count: number): Uint8Array {
    const logged = this.#logged();
    const kept = Math.floor(BUFFER_S / (this.#steps * STEP_S));
    this.#taken = Math.max(this.#taken, logged - kept);
    const n = Math.min(count, logged - this.#taken);
    const dt_s = this.#steps * STEP_S;
    const [current, voltage] = [new Float64Array(n), new Float64Array(n)];
    this.source.fillMeans(this.firstSample! + this.#taken * dt_s, dt_s, n, current, voltage);
    const width = this.#hasVolts ? 8 : 4;
    const bytes = Buffer.alloc(width * n);
    for (let k = 0; k < n; k++) {
      const isNan = this.#nanLeft > 0 && this.#nanLeft-- > 0;
      bytes.writeFloatBE(isNan ? 9.91e37 : current[k]!, width * k);
      if (this.#hasVolts) bytes.writeFloatBE(isNan ? 9.91e37 : voltage[k]!, width * k + 4);
    }
    this.#taken += n;
    return block(this.takeFault('odd-block') ? bytes.subarray(0, bytes.length - 3) : bytes);
  }
}
