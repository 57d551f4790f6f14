/** What a submission round of MLPerf Tiny adds to the demands of the benchmarks (scoring/profiles). */
export interface TinyRound {
  id: string;
  runners: readonly ('energyrunner' | 'mlcommons')[];
  /** Files of a run folder that the round's directory_structure.adoc names, by their part in the run. */
  files: readonly { part: 'log' | 'results' | 'script'; names: readonly string[]; optional: boolean }[];
  /** File that marks a run of the old runner, or null where none is asked for. */
  runnerMark: string | null;
  source: string;
}

const source = (id: string) => `directory_structure.adoc of the results repository of round ${id}`;

/** Names that the runner itself writes, which every round has accepted in practice. */
const written = { log: 'log.txt', results: 'results.txt', script: 'script.async' } as const;

function files(prefix: string, results: 'none' | 'optional' | 'required'): TinyRound['files'] {
  return [
    { part: 'log', names: [`${prefix}log.txt`, written.log], optional: false },
    {
      part: 'results',
      names: [`${prefix}result.txt`, `${prefix}results.txt`, 'result.txt', written.results],
      optional: results !== 'required',
    },
    { part: 'script', names: [`${prefix}script.async`, written.script], optional: false },
  ];
}

/** The rounds of MLPerf Tiny. The prefix of early rounds is the mode (`energy_log.txt`). */
export function tinyRound(id: string | null, mode: string): TinyRound | null {
  const prefix = `${mode}_`;
  switch (id) {
    case 'v0.5':
      return { id, runners: ['energyrunner'], files: files(prefix, 'none'), runnerMark: null, source: source(id) };
    case 'v0.7':
    case 'v1.0':
      return { id, runners: ['energyrunner'], files: files(prefix, 'optional'), runnerMark: null, source: source(id) };
    case 'v1.1':
    case 'v1.2':
      return { id, runners: ['energyrunner'], files: files('', 'required'), runnerMark: null, source: source(id) };
    case 'v1.3':
      return {
        id,
        runners: ['energyrunner', 'mlcommons'],
        files: files('', 'required'),
        runnerMark: 'EEMBC_RUNNER',
        source: source(id),
      };
    default:
      return null;
  }
}
