import type { Polarity } from '../../signal/types.ts';

/**
 * A register that the firmware wrote, with the count of instructions up to then. QEMU's plugins see addresses, not
 * values: of a byte handed to the UART only the time is told; the k-th of these is the k-th byte on the wire.
 */
export type PluginEvent =
  | { kind: 'edge'; polarity: Polarity; instructions: number }
  | { kind: 'sent'; instructions: number };

/** Register writes that the plugin reports, each with its letter: OUTSET, OUTCLR and UART TXD of the nRF51. */
export const watchedRegisters = { R: '50000508', F: '5000050c', T: '4000251c' } as const;

/** Reads the plugin's lines, whatever their chunks. @throws Error for a line that the plugin cannot have written (a bug) */
export class PluginReader {
  #part = '';

  push(chunk: string): PluginEvent[] {
    const lines = (this.#part + chunk).split('\n');
    this.#part = lines.pop()!;
    return lines.map((line) => {
      const [, letter, count] = /^([RFT]) (\d{1,15})$/.exec(line) ?? [];
      if (letter === undefined) throw new Error(`the QEMU plugin wrote ${JSON.stringify(line)}`);
      const instructions = Number(count);
      if (letter === 'T') return { kind: 'sent', instructions };
      return { kind: 'edge', polarity: letter === 'R' ? 'rise' : 'fall', instructions };
    });
  }
}
