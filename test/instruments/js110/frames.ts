import type { Js110CalibrationRecord } from '../../../src/instruments/js110/protocol.ts';

/** Coefficients of a real instrument (specs: instruments 3.3). */
export const calibration: Js110CalibrationRecord = {
  currentOffset: [
    -2806.7177734375, -2822.66455078125, -2820.881103515625, -2822.6201171875, -2820.462646484375, -2820.58251953125,
    -2818.677001953125,
  ],
  currentGain: [
    0.0006828914629295468, 0.00016375303675886244, 1.462617456127191e-5, 1.4937617152099847e-6, 1.4970493111832184e-7,
    1.4983887908215365e-8, 1.4984542495710684e-9,
  ],
  voltageOffset: [-1150.5926513671875, -2041.6751708984375],
  voltageGain: [0.0009468112839385867, 0.0002934212679974735],
  sections: ['AJS'],
};

export const MISSING = 0xffff_ffff;

export interface WordFields {
  current?: number;
  voltage?: number;
  range?: number;
}

/** A sample word. */
export function word(k: number, { current = 5000, voltage = 6000, range = 3 }: WordFields = {}): number {
  return ((voltage << 18) | ((k & 1) << 17) | ((range >> 2) << 16) | (current << 2) | (range & 3)) >>> 0;
}

export interface FrameFields {
  type?: number;
  status?: number;
  length?: number;
  voltageRange?: number;
}

/** A frame of 126 words; `words` gives each, by default a constant reading. */
export function frame(
  index: number,
  words: (k: number) => number = (k) => word(k),
  { type = 1, status = 0, length = 512, voltageRange = 0 }: FrameFields = {},
): Uint8Array {
  const view = new DataView(new ArrayBuffer(512));
  view.setUint8(0, type);
  view.setUint8(1, status);
  view.setUint16(2, length | (voltageRange << 15), true);
  view.setUint16(4, index & 0xffff, true);
  for (let k = 0; k < 126; k++) view.setUint32(8 + 4 * k, words(k), true);
  return new Uint8Array(view.buffer);
}
