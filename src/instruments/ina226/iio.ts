import { closeSync, constants, openSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DeviceError } from '../../signal/errors.ts';
import type { SampleBlock, StreamInfo } from '../../signal/types.ts';
import { openFailure } from '../../transport/errors.ts';
import { averagingFor, defaultRate_Hz, periodOf_us } from '../ina2xx/averaging.ts';
import { ConversionStream, conversionStreamInfo } from '../ina2xx/conversion-stream.ts';
import { ina226Scale } from './chip.ts';
import { hostClock, Ina226Kernel, type Ina226KernelOptions, type KernelRail, numberIn } from './kernel-instrument.ts';
import type { Ina226Settings } from './settings.ts';
import { ina226Tables } from './spec.ts';
import { writeAttribute } from './sysfs.ts';

/** Shunt (s16), bus (u16), padding, time stamp (s64 ns), little-endian. */
const RECORD_BYTES = 16;
const BUFFER_RECORDS = 4096;
const POLL_MS = 5;
const SILENCE_MS = 1000;
/** Time stamps farther apart than so many periods have results between them that nobody read. */
const NEIGHBOURS = 1.5;

interface Reader {
  rail: KernelRail;
  stream: ConversionStream;
  file: number;
  bytes: Buffer;
  length: number;
  last_ns: number | null;
  lastArrival_ns: number;
}

/** INA226 chips behind the kernel's IIO driver (ina2xx-adc), whose buffer gives each result with a time stamp. */
export class Ina226Iio extends Ina226Kernel {
  #period_ns = 0;
  #readers: Reader[] = [];
  #cancel: () => void = () => {};

  constructor(options: Ina226KernelOptions = {}) {
    super({ devices: 'sys/bus/iio/devices', prefix: 'iio:device', driver: 'ina2xx-adc (IIO)' }, options);
  }

  protected notices(): string[] {
    return ['stamped by the kernel when it begins to read a result, not when the conversion ended'];
  }

  /** Older drivers tell it in micro-ohm as an integer, newer ones in ohm with a point. */
  protected kernelShunt_ohm(folder: string): number {
    const value = numberIn(folder, 'in_shunt_resistor');
    return value >= 100 ? value / 1e6 : value;
  }

  protected applySettings({ rate_Hz }: Ina226Settings): void {
    const chosen = averagingFor(ina226Tables, rate_Hz ?? defaultRate_Hz);
    this.#period_ns = periodOf_us(ina226Tables, chosen) * 1e3;
    const seconds = (code: number) => (ina226Tables.times_us[code]! / 1e6).toFixed(6);
    for (const { folder } of this.rails) {
      // While the buffer is on, nothing may be changed.
      writeAttribute(folder, 'buffer/enable', 0);
      writeAttribute(folder, 'in_oversampling_ratio', ina226Tables.averages[chosen.averages]!);
      writeAttribute(folder, 'in_voltage0_integration_time', seconds(chosen.shuntTime));
      writeAttribute(folder, 'in_voltage1_integration_time', seconds(chosen.busTime));
      writeAttribute(folder, 'in_allow_async_readout', 0);
      writeAttribute(folder, 'current_timestamp_clock', 'monotonic');
      for (const [element, isOn] of [
        ['voltage0', 1],
        ['voltage1', 1],
        ['power2', 0],
        ['current3', 0],
        ['timestamp', 1],
      ] as const) {
        writeAttribute(folder, `scan_elements/in_${element}_en`, isOn);
      }
      writeAttribute(folder, 'buffer/length', BUFFER_RECORDS);
    }
  }

  protected streamOf(rail: KernelRail): StreamInfo {
    return conversionStreamInfo(rail, ina226Scale(rail), hostClock.id);
  }

  protected startReading(): void {
    const now_ns = this.time.now_ns();
    this.#readers = this.rails.map((rail) => ({
      rail,
      stream: new ConversionStream(rail, ina226Scale(rail)),
      file: openDevice(join(this.root, 'dev', basename(rail.folder))),
      bytes: Buffer.alloc(BUFFER_RECORDS * RECORD_BYTES),
      length: 0,
      last_ns: null,
      lastArrival_ns: now_ns,
    }));
    for (const { folder } of this.rails) writeAttribute(folder, 'buffer/enable', 1);
    this.#schedule();
  }

  protected endReading(): void {
    this.#cancel();
    for (const { stream, file } of this.#readers) {
      this.#emit(stream.flush());
      closeSync(file);
    }
    for (const { folder } of this.rails) writeAttribute(folder, 'buffer/enable', 0);
  }

  protected lastTick(rail: KernelRail): number {
    return this.#readers.find((reader) => reader.rail === rail)?.last_ns ?? 0;
  }

  /** A blocking read would hold a thread until the next sample, and the process with it. */
  #schedule(): void {
    this.#cancel = this.time.after(POLL_MS, () => {
      for (const reader of this.#readers) if (this.isSampling()) this.#read(reader);
      if (this.isSampling()) this.#schedule();
    });
  }

  #read(reader: Reader): void {
    const arrival_ns = this.time.now_ns();
    try {
      for (;;) {
        const count = readSync(reader.file, reader.bytes, reader.length, reader.bytes.length - reader.length, null);
        if (count === 0) break;
        reader.lastArrival_ns = arrival_ns;
        reader.length += count;
        this.#takeRecords(reader, arrival_ns);
      }
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EAGAIN') {
        this.fail(openFailure(reader.rail.folder, cause), 'unplugged');
        return;
      }
    }
    const silence_ns = arrival_ns - reader.lastArrival_ns;
    if (silence_ns >= SILENCE_MS * 1e6 + this.#period_ns) {
      this.fail(this.silent(reader.rail, silence_ns / 1e6), 'unknown');
    }
  }

  #takeRecords(reader: Reader, arrival_ns: number): void {
    const { bytes, stream } = reader;
    const whole = reader.length - (reader.length % RECORD_BYTES);
    for (let at = 0; at < whole; at += RECORD_BYTES) {
      // The driver announces all channels as unsigned; the shunt is two's complement.
      const shunt = bytes.readInt16LE(at);
      const bus = bytes.readUInt16LE(at + 2);
      const end = Number(bytes.readBigInt64LE(at + 8));
      const last = reader.last_ns;
      if (last !== null && end <= last) {
        this.fail(backwards(reader.rail, last, end), 'invalid');
        return;
      }
      const isNeighbour = last !== null && end - last < NEIGHBOURS * this.#period_ns;
      if (last !== null && !isNeighbour) {
        const missed = Math.max(1, Math.round((end - last) / this.#period_ns) - 1);
        this.#emit(stream.flush());
        this.chunks.emit(stream.gap(last, missed, 'dropped'));
      }
      this.#emit(stream.add(isNeighbour ? last : end - this.#period_ns, end, shunt, bus, arrival_ns));
      reader.last_ns = end;
    }
    bytes.copyWithin(0, whole, reader.length);
    reader.length -= whole;
  }

  #emit(block: SampleBlock | null): void {
    if (block) this.chunks.emit(block);
  }
}

function openDevice(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw openFailure(path, cause);
  }
}

function backwards(rail: KernelRail, last_ns: number, now_ns: number): DeviceError {
  return new DeviceError('device.protocol', {
    where: rail.folder,
    problem: `the time stamp ${now_ns} follows ${last_ns}`,
    remedy: 'check that no other program reads or changes the buffer of this device',
  });
}
