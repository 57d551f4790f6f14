import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scanByteChanges, scanPackedChanges } from '../../src/signal/bit-changes.ts';

/** Levels in runs, most of them long, so that whole words are passed over. */
const runs = fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 20, max: 200 })), { maxLength: 30 });

function levelsOf(lengths: readonly number[]): number[] {
  return lengths.flatMap((length, k) => new Array<number>(length).fill(k % 2));
}

function changesOf(levels: readonly number[], previous: number): number[] {
  return levels.flatMap((level, k) => {
    const before = k === 0 ? (previous < 0 ? level : previous) : levels[k - 1];
    return level === before ? [] : [k];
  });
}

describe('scans for changes of a line', () => {
  const previous = fc.constantFrom(-1, 0, 1);

  it('find the changes of one bit among others in bytes, at any alignment', () => {
    fc.assert(
      fc.property(
        runs,
        previous,
        fc.integer({ min: 0, max: 7 }),
        fc.integer({ min: 0, max: 5 }),
        (lengths, p, bit, at) => {
          const levels = levelsOf(lengths);
          const bytes = new Uint8Array(at + levels.length).subarray(at);
          levels.forEach((level, k) => {
            bytes[k] = (level << bit) | ((k * 37) & 0xff & ~(1 << bit));
          });
          const changes: number[] = [];
          const last = scanByteChanges(bytes, 1 << bit, p, changes);
          expect(changes).toEqual(changesOf(levels, p));
          expect(last).toBe(levels.at(-1) ?? p);
        },
      ),
    );
  });

  it('find the changes in packed bits, at any alignment and length', () => {
    fc.assert(
      fc.property(runs, previous, fc.integer({ min: 0, max: 5 }), (lengths, p, at) => {
        const levels = levelsOf(lengths);
        const bits = new Uint8Array(at + Math.ceil(levels.length / 8)).subarray(at);
        levels.forEach((level, k) => {
          bits[k >> 3]! |= level << (k & 7);
        });
        const changes: number[] = [];
        const last = scanPackedChanges(bits, levels.length, p, changes);
        expect(changes).toEqual(changesOf(levels, p));
        expect(last).toBe(levels.at(-1) ?? p);
      }),
    );
  });
});
