import { from, lastValueFrom, Subject, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { type Stage, stageOperator, stageOver } from '../../src/signal/reducer.ts';

/** Adds up in pairs; an odd one comes out at the end. */
class Pairs implements Stage<number, number> {
  #held: number | null = null;
  push(value: number): number[] {
    if (value < 0) throw new RangeError('negative');
    if (this.#held === null) {
      this.#held = value;
      return [];
    }
    const sum = this.#held + value;
    this.#held = null;
    return [sum];
  }
  end(): number[] {
    return this.#held === null ? [] : [this.#held];
  }
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

describe('a stage', () => {
  it('gives the same over a live stream and over a pulled recording', async () => {
    const live = await lastValueFrom(
      from([1, 2, 3, 4, 5]).pipe(
        stageOperator(() => new Pairs()),
        toArray(),
      ),
    );
    expect(live).toEqual([3, 7, 5]);
    expect(await collect(stageOver([1, 2, 3, 4, 5], new Pairs()))).toEqual(live);
  });

  it('has a state of its own for every subscriber', async () => {
    const pairs$ = from([1, 2, 3]).pipe(
      stageOperator(() => new Pairs()),
      toArray(),
    );
    expect(await lastValueFrom(pairs$)).toEqual([3, 3]);
    expect(await lastValueFrom(pairs$)).toEqual([3, 3]);
  });

  it('hands on the error of its source, and its own', async () => {
    const failing = new Subject<number>();
    const result = lastValueFrom(
      failing.pipe(
        stageOperator(() => new Pairs()),
        toArray(),
      ),
    );
    failing.next(1);
    failing.error(new Error('unplugged'));
    await expect(result).rejects.toThrow('unplugged');
    await expect(lastValueFrom(from([-1]).pipe(stageOperator(() => new Pairs())))).rejects.toThrow('negative');
  });

  it('pulls no more of a recording than is asked for', async () => {
    let pulled = 0;
    function* source() {
      for (;;) yield pulled++;
    }
    for await (const _ of stageOver(source(), new Pairs())) break;
    expect(pulled).toBe(2);
  });
});
