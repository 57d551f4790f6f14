/** PPK2 words to calibrated samples with the counter check: Joulemark's decoder against a plain per-sample one and a copy. */
import { Ppk2Decoder, ppk2Current } from '../src/instruments/ppk2/protocol.ts';
import { ppk2DefaultModifiers } from '../src/instruments/ppk2/spec.ts';

const SAMPLES = 5_000_000;
const CHUNK = 65_536;
const RUNS = 5;

const bytes = new Uint8Array(4 * SAMPLES);
const words = new Uint32Array(bytes.buffer);
for (let i = 0; i < SAMPLES; i++) {
  words[i] = ((((i >> 12) & 0xff) << 24) | ((i & 63) << 18) | (((i >> 10) % 5) << 14) | ((i * 7919) % 1500)) >>> 0;
}

function best(work: () => number): { seconds: number; check: number } {
  let seconds = Number.POSITIVE_INFINITY;
  let check = 0;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    check = work();
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return { seconds, check };
}

const ours = best(() => {
  const decoder = new Ppk2Decoder(ppk2DefaultModifiers, 3000, 'main', 'bench');
  let n = 0;
  for (let at = 0; at < bytes.length; at += CHUNK) {
    for (const item of decoder.push(bytes.subarray(at, at + CHUNK))) if (item.kind === 'block') n += item.length;
  }
  return n;
});

const plain = best(() => {
  const view = new DataView(bytes.buffer);
  const out: { current: number; range: number; logic: number }[] = [];
  let expected = 0;
  let n = 0;
  for (let at = 0; at < bytes.length; at += 4) {
    const word = view.getUint32(at, true);
    if (((word >>> 18) & 63) === expected) n++;
    expected = (expected + 1) & 63;
    const range = (word >>> 14) & 7;
    out.push({ current: ppk2Current(word & 0x3fff, range, ppk2DefaultModifiers, 3000), range, logic: word >>> 24 });
    if (out.length === 16_384) out.length = 0;
  }
  return n;
});

const copy = best(() => {
  let n = 0;
  for (let at = 0; at < bytes.length; at += CHUNK) n += bytes.slice(at, at + CHUNK).length / 4;
  return n;
});

for (const result of [ours, plain, copy]) {
  if (result.check !== SAMPLES) throw new Error(`${result.check} samples instead of ${SAMPLES}`);
}
const rate = (seconds: number) => `${(SAMPLES / seconds / 1e6).toFixed(0)} Msample/s`;
console.log(
  `Joulemark decoder        ${rate(ours.seconds)} = ${(SAMPLES / ours.seconds / 1e5).toFixed(0)} x real time`,
);
console.log(`plain per-sample decoder ${rate(plain.seconds)}; ratio ${(plain.seconds / ours.seconds).toFixed(1)}`);
console.log(`copy of the bytes        ${rate(copy.seconds)}; ratio ${(copy.seconds / ours.seconds).toFixed(3)}`);
