/**
 * The JS110 stream (2 MS/s) to calibrated current, voltage and power with range suppression, against real time and against
 * the least that one can do with the same bytes: adding up the 32-bit words. Prints ratios of one run.
 */
import { Js110Decoder } from '../src/instruments/js110/decoder.ts';
import { js110DefaultSuppression } from '../src/instruments/js110/suppression.ts';

const frames = 64;
const transfers = 500;
const samples = transfers * frames * 126;
const rate_Hz = 2_000_000;

const calibration = {
  currentOffset: [-2806.7, -2822.7, -2820.9, -2822.6, -2820.5, -2820.6, -2818.7],
  currentGain: [6.83e-4, 1.64e-4, 1.46e-5, 1.49e-6, 1.5e-7, 1.5e-8, 1.5e-9],
  voltageOffset: [-1150.6, -2041.7],
  voltageGain: [9.47e-4, 2.93e-4],
  sections: [],
};

for (const [name, period] of [
  ['one range', Number.POSITIVE_INFINITY],
  ['a change of range each ms', 2000],
  ['a change of range each 50 us', 100],
] as const) {
  const chunks = stream(period);
  const decode_ms = best(() => {
    const decoder = new Js110Decoder({
      calibration,
      suppression: js110DefaultSuppression,
      hasLogic: true,
      stream: 'main',
      where: 'bench',
    });
    let decoded = 0;
    for (const chunk of chunks) {
      for (const item of decoder.push(chunk)) decoded += item.kind === 'block' ? item.length : 0;
    }
    if (decoded < samples - 100) throw new Error(`only ${decoded} of ${samples} samples came out`);
  });
  const sum_ms = best(() => {
    let sum = 0;
    for (const chunk of chunks) for (const word of new Uint32Array(chunk.buffer)) sum += word;
    if (sum === 0) throw new Error('nothing was summed');
  });
  const rate = samples / (decode_ms / 1e3);
  console.log(
    `${name}: ${(rate / 1e6).toFixed(0)} Msample/s = ${(rate / rate_Hz).toFixed(0)} x real time; ` +
      `decoding / summing the words = ${(decode_ms / sum_ms).toFixed(1)}`,
  );
}

/** Transfers of a stream whose range changes between 3 and 2 every `period` samples. */
function stream(period: number): Uint8Array[] {
  return Array.from({ length: transfers }, (_, transfer) => {
    const view = new DataView(new ArrayBuffer(frames * 512));
    for (let frame = 0; frame < frames; frame++) {
      const at = 512 * frame;
      const index = transfer * frames + frame;
      view.setUint8(at, 1);
      view.setUint16(at + 2, 512, true);
      view.setUint16(at + 4, index & 0xffff, true);
      for (let k = 0; k < 126; k++) {
        const sample = index * 126 + k;
        const range = Math.floor(sample / period) % 2 === 0 ? 3 : 2;
        const word = ((6000 + (k % 7)) << 18) | ((sample & 1) << 17) | ((4000 + (sample % 1000)) << 2) | range;
        view.setUint32(at + 8 + 4 * k, word >>> 0, true);
      }
    }
    return new Uint8Array(view.buffer);
  });
}

/** Least time of several runs, in ms. */
function best(work: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let k = 0; k < 7; k++) {
    const start = performance.now();
    work();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}
