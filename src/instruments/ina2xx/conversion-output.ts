import type { Gap, GapCause, SampleBlock } from '../../signal/types.ts';
import type { ChipRegisters } from './chip-registers.ts';
import type { RailOutput, ReadTime } from './chip-type.ts';
import type { ConversionStream } from './conversion-stream.ts';

/** Codes of one result. */
export interface Codes {
  shunt: number;
  bus: number;
}

/** Passes on each result as a sample; one that nobody read in time, or that was replaced while it was read, is a Gap. */
export class ConversionOutput implements RailOutput {
  readonly #stream: ConversionStream;
  readonly #readCodes: (chip: ChipRegisters) => Promise<Codes>;
  #codes: Codes = { shunt: 0, bus: 0 };

  constructor(stream: ConversionStream, readCodes: (chip: ChipRegisters) => Promise<Codes>) {
    this.#stream = stream;
    this.#readCodes = readCodes;
  }

  async read(chip: ChipRegisters): Promise<void> {
    this.#codes = await this.#readCodes(chip);
  }

  take({ start_ns, end_ns, missed, now_ns, period_ns, isTorn }: ReadTime): (SampleBlock | Gap)[] {
    const chunks: (SampleBlock | Gap | null)[] = [];
    if (missed > 0) {
      chunks.push(this.flush(), this.gap(start_ns - missed * period_ns, missed, 'host-overrun'));
    }
    const { shunt, bus } = this.#codes;
    if (isTorn) chunks.push(this.flush(), this.gap(start_ns, 1, 'invalid'));
    else chunks.push(this.#stream.add(start_ns, end_ns, shunt, bus, now_ns));
    return chunks.filter((chunk) => chunk !== null);
  }

  overload(): string | null {
    return this.#stream.overload(this.#codes.shunt);
  }

  flush(): SampleBlock | null {
    return this.#stream.flush();
  }

  gap(tick: number, count: number | null, cause: GapCause): Gap {
    return this.#stream.gap(tick, count, cause);
  }

  summary(): string[] {
    return [];
  }
}
