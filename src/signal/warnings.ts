/**
 * The catalogue of warning codes. A warning says what is wrong with a figure that is still honest, or why there is
 * none. docs/warnings.md explains each code; a test keeps the two the same. Codes are only added.
 */
export const warningCatalogue = {
  'capture.cut-off': 'The capture was cut off; everything up to its last whole batch is used.',
  'capture.recovered': 'The capture was cut off and closed later by `joulemark recover`.',
  'samples.dropped': 'The instrument or the link lost samples; energy over them is a lower bound.',
  'samples.host-overrun': 'The computer was too slow and lost samples.',
  'samples.saturated': 'Samples reached the end of their range; energy over them is a lower bound.',
  'samples.negative': 'The trace holds negative samples.',
  'run.ended-early': 'The run ended before all that it promised.',
  'instrument.unplugged': 'The instrument vanished during the run.',
  'edges.lost': 'Fewer edges than the run promised.',
  'edges.extra': 'More edges than the run promised.',
  'edges.bounce': 'Edges inside the hold-off time of an accepted edge were ignored.',
  'edges.short-pulse': 'Pulses shorter than the minimum width were deleted.',
  'edges.polarity': 'Two edges of one polarity follow each other: at least one edge between them is missing.',
  'edges.odd': 'An odd number of edges: the windows cannot be told from the gaps between them.',
  'edges.beyond-trace': 'An edge lies outside the recorded samples.',
  'window.incomplete': 'A window began and the capture ended before its end.',
  'window.too-short': 'A window is shorter than the benchmark demands.',
  'window.group-delay': 'A window is not much longer than the group delays of two measuring ranges differ.',
  'window.missing-samples': 'Samples are missing inside a window.',
  'trigger.coarse': 'The windows follow the messages of the device under test, not edges of a pin.',
  'simulation.late': 'The emulated device under test told of edges or currents too late; they were moved.',
  'clock.skew': 'The clock of the instrument and the clock of the host run at different rates.',
  'clock.offset-unknown': 'Edges and samples are related by arrival times whose latency has no declared bound.',
  'clock.contradiction': 'Two ways of relating the clock of the edges to that of the samples disagree.',
  'baseline.methods-disagree': 'The idle baselines disagree by more than 10 %; no net energy is given.',
  'baseline.too-high': 'The idle baseline exceeds 90 % of the active power; no net energy is given.',
  'baseline.none': 'Too few samples outside the windows for an idle baseline.',
  'inferences.unknown': 'The number of inferences in a window is not known.',
  'inferences.disagree': 'The log and the results file give different numbers of inferences.',
  'voltage.assumed': 'The instrument measures no voltage; the set voltage is assumed constant.',
  'timestamps.unsorted': 'Timestamps are not in ascending order.',
  'timestamps.repaired': 'The timestamps file is not strict JSON (comments, a byte-order mark or CR LF line ends).',
  'log.missing': 'The log file is missing or empty.',
  'log.garbled': 'The log holds lines that do not follow its grammar.',
  'results.missing': 'The results file is missing or empty.',
  'names.unusual': 'Files were found under other names than the format demands.',
} as const;

export type WarningCode = keyof typeof warningCatalogue;

export interface Warning {
  code: WarningCode;
  message: string;
}

export function warning(code: WarningCode, message: string): Warning {
  return { code, message };
}
