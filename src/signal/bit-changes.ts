/**
 * Places where a line changed, from samples of its level. Long stretches without a change, which is nearly all there
 * is, are passed over a word at a time. Both scans append the index of each first sample with a new level to `changes`
 * and return the level (0 or 1) of the last sample, or `previous` where there are no samples.
 *
 * @param previous level before the first sample: 0 or 1, or -1 where it is not known (then the first sample is no change)
 */

/** A stretch too short to reach an aligned word has no place for one. */
const none = new Int32Array(0);

/** Samples of one byte each; `mask` (1, 2, 4 ... 128) selects the bit. */
export function scanByteChanges(logic: Uint8Array, mask: number, previous: number, changes: number[]): number {
  const n = logic.length;
  if (n === 0) return previous;
  let level = previous < 0 ? (logic[0]! & mask) !== 0 : previous === 1;
  let same = level ? mask : 0;
  const head = Math.min(n, (4 - (logic.byteOffset & 3)) & 3);
  const groups = (n - head) >> 4;
  const words = groups === 0 ? none : new Int32Array(logic.buffer, logic.byteOffset + head, groups * 4);
  const every = Math.imul(mask, 0x01010101);
  const scan = (from: number, to: number) => {
    for (let k = from; k < to; k++) {
      if ((logic[k]! & mask) === same) continue;
      changes.push(k);
      level = !level;
      same = level ? mask : 0;
    }
  };
  scan(0, head);
  let held = level ? every : 0;
  for (let group = 0; group < groups; group++) {
    const w = group * 4;
    const differs = (words[w]! ^ held) | (words[w + 1]! ^ held) | (words[w + 2]! ^ held) | (words[w + 3]! ^ held);
    if ((differs & every) === 0) continue;
    scan(head + group * 16, head + group * 16 + 16);
    held = level ? every : 0;
  }
  scan(head + groups * 16, n);
  return level ? 1 : 0;
}

/** Samples of one bit each: sample k is bit k % 8 (least significant first) of byte k / 8. `n` samples are looked at. */
export function scanPackedChanges(bits: Uint8Array, n: number, previous: number, changes: number[]): number {
  if (n === 0) return previous;
  let level = previous < 0 ? bits[0]! & 1 : previous;
  const bytes = n >> 3;
  const head = Math.min(bytes, (4 - (bits.byteOffset & 3)) & 3);
  const count = (bytes - head) >> 2;
  const words = count === 0 ? none : new Int32Array(bits.buffer, bits.byteOffset + head, count);
  /** Looks at the lowest `width` bits of a byte. */
  const scan = (k: number, width: number) => {
    const value = bits[k]!;
    let differs = (value ^ ((value << 1) | level)) & ((1 << width) - 1);
    while (differs !== 0) {
      changes.push(k * 8 + 31 - Math.clz32(differs & -differs));
      differs &= differs - 1;
    }
    level = (value >> (width - 1)) & 1;
  };
  for (let k = 0; k < head; k++) scan(k, 8);
  for (let w = 0; w < count; w++) {
    if (words[w] === -level) continue;
    for (let k = head + w * 4; k < head + w * 4 + 4; k++) scan(k, 8);
  }
  for (let k = head + count * 4; k < bytes; k++) scan(k, 8);
  if (n & 7) scan(bytes, n & 7);
  return level;
}
