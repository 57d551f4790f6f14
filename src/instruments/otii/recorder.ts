import { DeviceError } from '../../signal/errors.ts';
import type { Gap, SampleBlock } from '../../signal/types.ts';
import type { OtiiAnalog } from './protocol.ts';

/** Samples of a channel may be off by so much of an interval before they count as moved. */
const TIME_TOLERANCE = 0.5;

/** What has been read of one channel and stands at known samples. */
interface Stretch {
  /** Sample number on the recording's clock. */
  first: number;
  values: Float64Array;
}

/** One analog channel: where its samples lie on the recording's clock. */
class Channel {
  readonly rate_Hz: number;
  /** Of the next sample to be read from the server. */
  index = 0;
  stretches: Stretch[] = [];
  readonly #name: string;
  readonly #where: string;

  constructor(name: string, rate_Hz: number, where: string) {
    this.#name = name;
    this.rate_Hz = rate_Hz;
    this.#where = where;
  }

  /** @throws DeviceError `device.protocol` if the interval is not that of the channel's rate */
  push(data: OtiiAnalog): void {
    if (data.values.length === 0) return;
    if (Math.abs(data.interval_s * this.rate_Hz - 1) > 1e-6) {
      throw new DeviceError('device.protocol', {
        where: this.#where,
        problem: `channel ${this.#name} comes every ${data.interval_s} s instead of every ${1 / this.rate_Hz} s`,
        remedy: 'set the rate in the rig file to the one that the Otii application shows',
      });
    }
    const position = data.timestamp_s * this.rate_Hz;
    if (!Number.isSafeInteger(Math.round(position)) || position < -TIME_TOLERANCE) {
      throw new DeviceError('device.protocol', {
        where: this.#where,
        problem: `channel ${this.#name} has samples at ${data.timestamp_s} s of the recording`,
        remedy: 'start a new recording in the Otii application, and check its version',
      });
    }
    const last = this.stretches.at(-1);
    const expected = last ? last.first + last.values.length : null;
    const first = expected !== null && Math.abs(position - expected) < TIME_TOLERANCE ? expected : Math.round(position);
    this.stretches.push({ first, values: data.values });
    this.index += data.values.length;
  }
}

/**
 * Puts the current and the voltage of a recording together. The voltage comes at a rate of which that of the current is a
 * whole multiple; each of its samples holds for the current samples of its interval.
 */
export class OtiiRecorder {
  readonly current: Channel;
  readonly voltage: Channel;
  readonly #ratio: number;
  readonly #stream: string;
  #next: number | null = null;

  /** `where` names the instrument in errors. */
  constructor(stream: string, rates_Hz: { current: number; voltage: number }, where: string) {
    this.#stream = stream;
    this.#ratio = Math.round(rates_Hz.current / rates_Hz.voltage);
    this.current = new Channel('mc', rates_Hz.current, where);
    this.voltage = new Channel('mv', rates_Hz.voltage, where);
  }

  /** Tick after the last sample. */
  get nextTick(): number {
    return this.#next ?? 0;
  }

  /** What both channels cover by now. */
  drain(): (SampleBlock | Gap)[] {
    const out: (SampleBlock | Gap)[] = [];
    const [amps, volts] = [this.current.stretches, this.voltage.stretches];
    while (amps.length > 0 && volts.length > 0) {
      const [a, v] = [amps[0]!, volts[0]!];
      const start = Math.max(a.first, v.first * this.#ratio, this.#next ?? 0);
      const end = Math.min(a.first + a.values.length, (v.first + v.values.length) * this.#ratio);
      if (end > start) {
        if (this.#next !== null && start > this.#next) this.#gap(out, this.#next, start - this.#next, 'dropped');
        this.#cover(out, start, end, a, v);
        this.#next = end;
      }
      // What ends first can add no more.
      if (a.first + a.values.length <= end) amps.shift();
      if ((v.first + v.values.length) * this.#ratio <= end) volts.shift();
    }
    return out;
  }

  #cover(out: (SampleBlock | Gap)[], start: number, end: number, a: Stretch, v: Stretch): void {
    const n = end - start;
    const current = a.values.slice(start - a.first, end - a.first);
    const voltage = new Float64Array(n);
    for (let i = 0; i < n; i++) voltage[i] = v.values[Math.floor((start + i) / this.#ratio) - v.first]!;
    const isValid = (i: number) => Number.isFinite(current[i]) && Number.isFinite(voltage[i]);
    for (let from = 0; from < n; ) {
      const valid = isValid(from);
      let to = from + 1;
      while (to < n && isValid(to) === valid) to++;
      if (valid) {
        out.push({
          kind: 'block',
          stream: this.#stream,
          firstTick: start + from,
          ticksPerSample: 1,
          length: to - from,
          current: current.slice(from, to),
          voltage: voltage.slice(from, to),
        });
      } else this.#gap(out, start + from, to - from, 'invalid');
      from = to;
    }
  }

  #gap(out: (SampleBlock | Gap)[], firstTick: number, count: number, cause: Gap['cause']): void {
    out.push({ kind: 'gap', stream: this.#stream, firstTick, count, cause });
  }
}
