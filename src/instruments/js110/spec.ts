import type { RangeInfo } from '../../signal/types.ts';
import { loadAccuracySheet, rangesOf } from '../accuracy-sheet.ts';

/** Samples a second; the instrument has no other rate. */
export const js110Rate_Hz = 2_000_000;

export const js110Usb = { vendorId: 0x16d0, productId: 0x0e88 };

export const js110Request = {
  loopbackBuffer: 2,
  settings: 3,
  status: 4,
  serialNumber: 7,
  calibration: 8,
  extio: 9,
  info: 10,
} as const;

/** Type byte of the header before settings, status, extio and info. */
export const js110PacketType = { settings: 1, status: 2, extio: 3, info: 4 } as const;

/** wValue of a calibration request. */
export const js110Calibration = { factory: 0, active: 1 } as const;

export const js110Endpoint = 0x82;
export const js110FrameBytes = 512;
export const js110FrameSamples = 126;
/** Buffer type of a frame of samples. */
export const js110RawFrame = 1;
/** The word that stands for a sample that the instrument has lost. */
export const js110MissingWord = 0xffff_ffff;

/** Codes of `select` in the settings, by the name of the range. */
export const js110Select = {
  auto: 0x80,
  '10 A': 0x01,
  '2 A': 0x02,
  '180 mA': 0x04,
  '18 mA': 0x08,
  '1.8 mA': 0x10,
  '180 uA': 0x20,
  '18 uA': 0x40,
  off: 0x00,
} as const;

/** Bit 1 of `options` in the settings. */
export const js110VoltageRange = { '15 V': 0, '5 V': 1 } as const;

export const js110Source = { off: 0x00, raw: 0xc0 } as const;
export const js110Streaming = { off: 0x00, on: 0x03 } as const;

/** Range number of a sample while the current path is open. */
export const js110RangeOff = 7;

/** What feeds the LSB of a code. */
export const js110Gpi = { none: 0, gpi0: 2, gpi1: 3 } as const;

/** Levels of the inputs and outputs. */
export const js110IoVoltages_V = [0, 1.8, 2.1, 2.5, 2.7, 3.0, 3.3, 3.6, 5.0] as const;

/** settings_result: not issued yet, done, busy. */
export const js110SettingsResult = { pending: -1, done: 0, busy: 19 } as const;

/** The measuring ranges and the open path; the steps are those of one instrument's calibration. */
export function js110Ranges(gains_A: readonly number[]): RangeInfo[] {
  const off = { index: js110RangeOff, name: 'off', fullScale_A: null, resolution_A: null, noise_A: null };
  return [...rangesOf(js110Accuracy), off].map((range) => ({ ...range, resolution_A: gains_A[range.index] ?? null }));
}

/** @see calibration/instruments/js110.json */
export const js110Accuracy = loadAccuracySheet('js110');
