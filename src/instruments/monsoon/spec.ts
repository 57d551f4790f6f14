import type { RangeInfo } from '../../signal/types.ts';
import { loadAccuracySheet, rangesOf } from '../accuracy-sheet.ts';

/** Samples a second; the instrument has no other rate. */
export const monsoonRate_Hz = 5000;

export const monsoonUsb = { vendorId: 0x2ab9, productId: 0x0001 };

export const monsoonEndpoint = 0x81;
export const monsoonPacketBytes = 64;
export const monsoonHeaderBytes = 4;
export const monsoonMeasurementBytes = 18;
export const monsoonMaxMeasurements = 3;

export const monsoonRequest = { value: 0x01, start: 0x02, stop: 0x03 } as const;

export const monsoonOpcode = {
  voltage: 0x41,
  powerUpLimit: 0x43,
  runLimit: 0x44,
  powerUpTime: 0x0c,
  usbPassthrough: 0x10,
  voltageChannel: 0x23,
  serialNumber: 0x42,
  model: 0x45,
  firmware: 0xc0,
  startStatus: 0xc4,
  dacLow: 0x88,
  dacHigh: 0x89,
} as const;

/** Main, USB and aux, each coarse and fine: the order of the codes in a measurement. */
export const monsoonChannels = ['mainCoarse', 'mainFine', 'usbCoarse', 'usbFine', 'auxCoarse', 'auxFine'] as const;
export type MonsoonChannel = (typeof monsoonChannels)[number];

/** HVPM: opcodes of the scales (u16). */
export const monsoonScaleOpcode: Readonly<Record<MonsoonChannel, number>> = {
  mainFine: 0x1a,
  mainCoarse: 0x1b,
  usbFine: 0x1c,
  usbCoarse: 0x1d,
  auxFine: 0x1e,
  auxCoarse: 0x1f,
};

/** HVPM: opcodes of the zero offsets (s16); aux has none. */
export const monsoonZeroOffsetOpcode: Partial<Readonly<Record<MonsoonChannel, number>>> = {
  mainFine: 0x25,
  mainCoarse: 0x26,
  usbFine: 0x27,
  usbCoarse: 0x28,
};

/** LVPM: opcodes of the resistor offsets (s8). */
export const monsoonResistorOpcode: Readonly<Record<MonsoonChannel, number>> = {
  mainFine: 0x02,
  mainCoarse: 0x11,
  usbFine: 0x0d,
  usbCoarse: 0x12,
  auxFine: 0x0e,
  auxCoarse: 0x13,
};

/** HVPM: what stands in for scales and offsets that the instrument has lost. */
export const monsoonDefaultScales: Readonly<Record<MonsoonChannel, number>> = {
  mainFine: 36_500,
  mainCoarse: 6400,
  usbFine: 14_000,
  usbCoarse: 600,
  auxFine: 3100,
  auxCoarse: 250,
};
export const monsoonDefaultZeroOffsets: Readonly<Record<MonsoonChannel, number>> = {
  mainFine: 15,
  mainCoarse: 15,
  usbFine: 0,
  usbCoarse: 0,
  auxFine: 0,
  auxCoarse: 0,
};

/** Answer to opcode 0x45. */
export const monsoonModelCode = { LVPM: 1, HVPM: 2 } as const;
export type MonsoonModel = keyof typeof monsoonModelCode;

/** What a GET brings while the instrument samples. */
export const monsoonError = 0xffff_fffe;
/** Bit of the start status that says that it samples. */
export const monsoonSamplingBit = 0x80;
/** From this firmware on there is a start status. */
export const monsoonStatusFirmware = 26;
export const monsoonKnownFirmware = 32;

/** Codes of the USB passthrough; `auto` switches the USB channel off while sampling. */
export const monsoonPassthrough = { off: 0, on: 1, auto: 2 } as const;

/** Bits of the flags of a packet; its sequence is the low four bits. */
export const monsoonFlag = { overCurrent: 0x10, output: 0x20 } as const;

/** Bits 5:4 of the last byte of a measurement. */
export const monsoonSampleType = { measurement: 0x00, zero: 0x10, invalid: 0x20, reference: 0x30 } as const;

export const monsoonSupply_V: Readonly<Record<MonsoonModel, { min: number; max: number }>> = {
  HVPM: { min: 0.8, max: 13.5 },
  LVPM: { min: 2.01, max: 4.55 },
};

/** Default of PyMonsoon; it travels in 16 bits. */
export const monsoonCalibrationInterval_ms = 1250;

/** Calibrations are means of so many codes. */
export const monsoonCalibrationDepth = 5;

/** Zero and reference: samples without a measurement in each interval. */
export const monsoonCalibrationSamples = 2;

/** Below this fine code the fine range counts. */
export const monsoonFineThreshold: Readonly<Record<MonsoonModel, { main: number; usb: number; aux: number }>> = {
  HVPM: { main: 64_000, usb: 64_000, aux: 30_000 },
  LVPM: { main: 30_000, usb: 30_000, aux: 30_000 },
};

/** Volts a code: 62.5 uV times the divider. */
export const monsoonVolts: Readonly<Record<MonsoonModel, { main: number; usb: number }>> = {
  HVPM: { main: 62.5e-6 * 4, usb: 62.5e-6 * 2 },
  LVPM: { main: 62.5e-6 * 2, usb: 62.5e-6 * 2 },
};

/** Numbers of the ranges in blocks. */
export const monsoonRange = { fine: 0, coarse: 1 } as const;

/** @see calibration/instruments/monsoon.json */
export const monsoonAccuracy = loadAccuracySheet('monsoon');

/** Both ranges; their steps follow from calibrations made while sampling, so the sheet tells none. */
export const monsoonRanges: readonly RangeInfo[] = rangesOf(monsoonAccuracy);
