import { loadAccuracySheet } from '../accuracy-sheet.ts';

export const js220Usb = { vendorId: 0x16d0, productId: 0x10ba, endpointIn: 0x82, endpointOut: 0x01 };

/** Vendor control requests (bmRequestType 0xc0, one byte of status comes back). */
export const js220Request = { connect: 1, disconnect: 2 } as const;

/** Sample ids count at this rate, whatever a stream's own rate. */
export const js220Tick_Hz = 2_000_000;

/** Current, voltage and power come at half of that; their sample ids go up by 2. */
export const js220FullRate_Hz = 1_000_000;

export const js220Frame_bytes = 512;

/** Ports of the link. */
export const js220Port = { control: 0, pubsub: 1, logging: 2, memory: 3, stream: 16 } as const;

/** Operations of the control port. */
export const js220Control = { connect: 1, echo: 2, timesync: 3, timemap: 4 } as const;

/** Types of a published value. */
export const js220Type = {
  null: 0,
  string: 1,
  json: 2,
  binary: 3,
  f32: 6,
  f64: 7,
  u8: 8,
  u16: 9,
  u32: 10,
  u64: 11,
  i8: 12,
  i16: 13,
  i32: 14,
  i64: 15,
} as const;

/** A port of stream data: which topic switches it on, and how its elements are packed. */
export interface Js220StreamPort {
  /** Added to `js220Port.stream`. */
  index: number;
  topic: string;
  element: 'f32' | 'u4' | 'u1' | 'statistics';
}

export const js220Streams = {
  range: { index: 4, topic: 's/i/range/ctrl', element: 'u4' },
  current: { index: 5, topic: 's/i/ctrl', element: 'f32' },
  voltage: { index: 6, topic: 's/v/ctrl', element: 'f32' },
  power: { index: 7, topic: 's/p/ctrl', element: 'f32' },
  gpi0: { index: 8, topic: 's/gpi/0/ctrl', element: 'u1' },
  gpi1: { index: 9, topic: 's/gpi/1/ctrl', element: 'u1' },
  gpi2: { index: 10, topic: 's/gpi/2/ctrl', element: 'u1' },
  gpi3: { index: 11, topic: 's/gpi/3/ctrl', element: 'u1' },
  trigger: { index: 12, topic: 's/gpi/7/ctrl', element: 'u1' },
  statistics: { index: 14, topic: 's/stats/ctrl', element: 'statistics' },
} as const satisfies Record<string, Js220StreamPort>;

export type Js220StreamName = keyof typeof js220Streams;

/** The digital inputs in the order of the bits of `SampleBlock.logic`. */
export const js220Inputs = ['gpi0', 'gpi1', 'gpi2', 'gpi3', 'trigger'] as const;

/** Firmware and FPGA from which on the instrument reduces the rate by itself (major << 24 | minor << 16 | patch). */
export const js220DecimationVersion = 0x0103_0000;

/** By what the instrument divides the full rate; 2 and 3 are not supported by it. */
export const js220Divisors = [1, 4, 5, 10, 20, 50, 100, 200, 500, 1000] as const;

/** @see calibration/instruments/js220.json */
export const js220Accuracy = loadAccuracySheet('js220');
