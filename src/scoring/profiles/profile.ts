/** A demand on the answers of the device, in the unit that the metric's name ends in. The same in every round so far. */
export interface QualityTarget {
  metric: 'top1_pct' | 'auc' | 'fp' | 'fn';
  /** `at-least` this value, or `at-most`. */
  sense: 'at-least' | 'at-most';
  value: number;
}

/** A list of inputs with their true classes. Rounds do not settle which list a run used: the names of the inputs do. */
export interface LabelList {
  /** File in the folder of labels. */
  file: string;
  /** Its first five inputs: those that performance and energy runs use. */
  firstInputs: readonly string[];
}

/** What one benchmark demands of a run. One file a benchmark; rounds (audit/rounds) add the rules of submission. */
export interface Profile {
  /** Model id as the device prints it. */
  id: string;
  /** Folder name of the benchmark in a submission. */
  name: string;
  /** Other names in use, lower case. */
  aliases: readonly string[];
  title: string;
  task: 'classification' | 'anomaly-detection' | 'streaming-wakeword';
  /** Scores a result; null where it has none. */
  classes: number | null;
  /** Windows of a performance or energy run, each over another input. */
  windows: number;
  /** What a window must reach. Both, not one of them. */
  minimumDuration_s: number;
  minimumIterations: number;
  statistic: 'median';
  /** Warm-up inferences that the runner asks for. */
  warmups: number;
  labels: readonly LabelList[];
  quality: readonly QualityTarget[];
  /** Where these demands can be read. */
  source: string;
}
