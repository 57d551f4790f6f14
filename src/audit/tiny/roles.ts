/** What a file of a Tiny run is. `er-` files are EnergyRunner's, `mlc-` files the MLCommons runner's. */
export type Role =
  | 'er-log'
  | 'er-results'
  | 'trace'
  | 'timestamps'
  | 'script'
  | 'mlc-log'
  | 'mlc-results'
  | 'mlc-data'
  | 'simulated-mark'
  | 'eembc-mark';

const candidate = /(?:\.(?:txt|log|json|bin|async|out)|^[^.]*)$/i;
const erLine = /^\d{5,9}\.\d{3} (?:session|parser|sequencer|emon|io|dut): /m;
const erResults =
  /^\d{5,9}\.\d{3} ulp-ml(?:perf)?: +(?:Energy data for window \d|Performance results for window \d|Median (?:energy|throughput)|Top-1: |AUC: |e-\[|# Inferences|Runtime +:|Throughput +:)/m;
const mlcLog = /^(?:Logging initialized\. Writing output to|Initializing SerialDevice on port)/m;
const mlcResults =
  /^(?:\d{4}\.\d{6} ulp-mlperf: )?(?:Power Edition Output|Energy data for trial \d|Performance results for window \d+:?\s*$|Top 1% = |AUC = |Accuracy: \d+ True positives|Median (?:energy cost|throughput) is)/m;
const mlcData = /^\s*\[\s*\{\s*"(?:file|wav_file|infer|power|classes|mode)"/;

/** True where a file's name makes it worth a look; everything else in a tree is not read at all. */
export function isCandidate(name: string): boolean {
  return candidate.test(name);
}

/**
 * The role of a file by the first kilobytes of its content (Latin-1). The usual names of EnergyRunner's own files
 * decide only where the content says nothing, so that a damaged file is still found and reported; null for any other.
 */
export function roleOf(name: string, head: string): Role | null {
  if (name === 'SIMULATED') return 'simulated-mark';
  if (/^EEMBC_RUNNER/.test(name)) return 'eembc-mark';
  if (head.charCodeAt(0) === 0xf1 && /\.bin$/i.test(name)) return 'trace';
  if (mlcData.test(head)) return 'mlc-data';
  if (/\.json$/i.test(name) && /^(?:\xef\xbb\xbf)?\s*\[\s*-?[\d.][\d.,eE+\s\]-]*$/.test(head)) return 'timestamps';
  if (/\.async$/i.test(name)) return 'script';
  if (mlcLog.test(head)) return 'mlc-log';
  const hasResults = erResults.test(head);
  if (erLine.test(head)) {
    // What follows a session in the runner's console can be saved with the results; a log is mostly session.
    return hasResults && (head.match(/ (?:sequencer|dut|io): /g) ?? []).length === 0 ? 'er-results' : 'er-log';
  }
  if (hasResults) return 'er-results';
  if (mlcResults.test(head)) return 'mlc-results';
  if (/energy\.bin$/i.test(name)) return 'trace';
  if (/timestamps\.json$/i.test(name)) return 'timestamps';
  return null;
}
