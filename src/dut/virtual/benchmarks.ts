/** What the virtual DUT does for one benchmark. */
export interface VirtualBenchmark {
  /** The model id that it prints. */
  model: string;
  /** Size of one input in bytes, as EnergyRunner sends it. */
  inputBytes: number;
  /** Inferences in one window of the energy run, enough for 10 s. */
  iterations: number;
  /** Mean duration of one inference. */
  inference_s: number;
  /** What happens inside an inference: shares of its time, each with its current. */
  phases: readonly { share: number; current_A: number }[];
  /** Number of classes; 1 = one anomaly score. */
  classes: number;
}

/**
 * The four MLPerf Tiny benchmarks. Input sizes are those of the benchmark's data sets; times and currents are invented,
 * of the order of a microcontroller with a Cortex-M4.
 */
export const virtualBenchmarks = {
  kws01: {
    model: 'kws01',
    inputBytes: 490,
    iterations: 250,
    inference_s: 0.042,
    phases: [
      { share: 0.08, current_A: 9.2e-3 },
      { share: 0.62, current_A: 12.6e-3 },
      { share: 0.27, current_A: 11.8e-3 },
      { share: 0.03, current_A: 8.4e-3 },
    ],
    classes: 12,
  },
  ic01: {
    model: 'ic01',
    inputBytes: 3072,
    iterations: 55,
    inference_s: 0.193,
    phases: [
      { share: 0.05, current_A: 9.5e-3 },
      { share: 0.45, current_A: 13.1e-3 },
      { share: 0.46, current_A: 12.7e-3 },
      { share: 0.04, current_A: 8.8e-3 },
    ],
    classes: 10,
  },
  ad01: {
    model: 'ad01',
    inputBytes: 2560,
    iterations: 1900,
    inference_s: 0.0056,
    phases: [
      { share: 0.94, current_A: 10.9e-3 },
      { share: 0.06, current_A: 8.2e-3 },
    ],
    classes: 1,
  },
  vww01: {
    model: 'vww01',
    inputBytes: 27_648,
    iterations: 64,
    inference_s: 0.165,
    phases: [
      { share: 0.12, current_A: 10.1e-3 },
      { share: 0.71, current_A: 12.9e-3 },
      { share: 0.17, current_A: 12.1e-3 },
    ],
    classes: 2,
  },
} as const satisfies Record<string, VirtualBenchmark>;

/** Currents of the virtual DUT outside inferences, in A (invented). */
export const virtualCurrents_A = {
  boot: 6.4e-3,
  idle: 1.4e-3,
  warmUp: 11.9e-3,
  uartDownload: 3.2e-3,
  uartReply: 2.9e-3,
  syncLoad: 6.4e-3,
} as const;
