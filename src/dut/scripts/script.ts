/** What one step of a benchmark run does. */
export type ScriptAction =
  | { do: 'version' }
  | { do: 'configure' }
  | { do: 'power'; on: boolean }
  | { do: 'profile' }
  | { do: 'timer-mode' }
  | { do: 'io-timer'; on: boolean }
  | { do: 'timer'; on: boolean }
  | { do: 'trace'; on: boolean }
  | { do: 'timestamp' }
  | { do: 'echo'; label: string; delay_ms: number }
  /** `input` counts the script's inputs; `offset` and `length` pick a part of the file, absent: the whole. */
  | { do: 'load'; input: number; offset?: number; length?: number }
  | { do: 'infer'; inferences: number; warmups: number }
  | { do: 'voltage' }
  /** The coded pattern of firmware-hooks. */
  | { do: 'sync'; order: number; chip_us: number }
  /** Streaming wakeword: the DUT listens while the interface board plays the input. */
  | { do: 'stream'; input: number };

/** One step, with the command, the acknowledgement and the limit under which EnergyRunner's log shows it. */
export interface ScriptStep {
  action: ScriptAction;
  command: string;
  ack: string;
  /** -1 = no limit of the runner's own. */
  ms: number;
}

export type ScriptMode = 'energy' | 'performance' | 'accuracy';

/** A file that the run feeds to the DUT. */
export interface ScriptInput {
  /** Path, or name. */
  file: string;
  /** Size in bytes. */
  bytes: number;
  /** True class, or null where it is not known. */
  label: number | null;
  /** Sound files: their length, and when the wakeword is spoken. */
  duration_s?: number;
  words?: readonly { start_s: number; stop_s: number }[];
}

/** A benchmark run, step by step, as data. */
export interface Script {
  mode: ScriptMode;
  model: string;
  /** Name and code of the run as EnergyRunner's log shows them. */
  runName: string;
  code: 'ulp-ml' | 'ulp-mlperf';
  config: Readonly<Record<string, string>>;
  inputs: readonly ScriptInput[];
  /** Inferences of each window; null where there is no `infer`. */
  inferences: number | null;
  /** Windows between timestamps that the DUT marks after the handshake. */
  windows: number;
  steps: readonly ScriptStep[];
}
