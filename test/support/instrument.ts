import type { InstrumentChunk, InstrumentEvent, PowerInstrument } from '../../src/instruments/power-instrument.ts';
import type { Edge, Gap, SampleBlock } from '../../src/signal/types.ts';

/** Everything that an instrument emits, sorted by kind, for tests. */
export class Collected {
  readonly chunks: InstrumentChunk[] = [];
  error: unknown = null;
  isComplete = false;

  constructor(instrument: PowerInstrument<never>) {
    instrument.samples$.subscribe({
      next: (chunk) => this.chunks.push(chunk),
      error: (error) => {
        this.error = error;
      },
      complete: () => {
        this.isComplete = true;
      },
    });
  }

  blocks(stream = 'main'): SampleBlock[] {
    return this.chunks.filter((chunk): chunk is SampleBlock => chunk.kind === 'block' && chunk.stream === stream);
  }

  gaps(stream = 'main'): Gap[] {
    return this.chunks.filter((chunk): chunk is Gap => chunk.kind === 'gap' && chunk.stream === stream);
  }

  edges(): Edge[] {
    return this.chunks.flatMap((chunk) => (chunk.kind === 'edges' ? chunk.edges : []));
  }

  events(): InstrumentEvent[] {
    return this.chunks.filter((chunk): chunk is InstrumentEvent => chunk.kind === 'event');
  }

  /** Each sample's tick and the value of one quantity. */
  *samples(quantity: 'current' | 'energy' = 'current', stream = 'main'): Generator<[tick: number, value: number]> {
    for (const block of this.blocks(stream)) {
      for (let i = 0; i < block.length; i++) yield [block.firstTick + i, block[quantity]![i]!];
    }
  }

  /** Blocks and gaps of a stream follow each other without overlap or hole (a gap of unknown length ends the check). */
  contiguousUpTo(stream = 'main'): number {
    let tick = 0;
    for (const chunk of this.chunks) {
      if ((chunk.kind !== 'block' && chunk.kind !== 'gap') || chunk.stream !== stream) continue;
      if (chunk.firstTick !== tick) throw new Error(`${chunk.kind} at tick ${chunk.firstTick}, expected ${tick}`);
      if (chunk.kind === 'gap' && chunk.count === null) return tick;
      tick += chunk.kind === 'block' ? chunk.length : chunk.count!;
    }
    return tick;
  }
}
