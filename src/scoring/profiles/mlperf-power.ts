/**
 * MLPerf Inference Power: what a power run is scored on and how that changed from round to round.
 * Sources: power_measurement.adoc of mlcommons/inference_policies, get_power_metric of the submission checker of
 * mlcommons/inference, compliance/check.py and README.md of mlcommons/power-dev (clock tolerance: pull request 265 for
 * v2.1, pull request 1496 of mlcommons/inference after v3.1).
 */

export type PowerScenario = 'Offline' | 'Server' | 'Interactive' | 'SingleStream' | 'MultiStream';

/** The rules of one round. Null: no round known, only what all rounds share applies. */
export interface PowerRound {
  /** Largest difference between the clocks of client and server at any phase mark. */
  clockTolerance_ms: number;
  /** PTDaemon versions that the round's submissions could use. */
  daemonVersions: readonly string[];
  /** Do loadgen and PTDaemon write UTC? Before v1.1 they wrote local time, and the JSON time zones were added. */
  timesAreUtc: boolean;
  /** Does loadgen log the number of queries? Before v2.0 it is rebuilt from other figures. */
  logsQueryCount: boolean;
  /** Could the client's list of messages end with an upload that the server did not list? */
  clientUploads: boolean;
  /** Which samples a second of a Server run its result is: those scheduled, or (from v4.1 on) those completed. */
  serverResult: 'scheduled' | 'completed';
}

const early: PowerRound = {
  clockTolerance_ms: 200,
  daemonVersions: ['1.9.2'],
  timesAreUtc: true,
  logsQueryCount: true,
  clientUploads: false,
  serverResult: 'scheduled',
};
const middle: PowerRound = { ...early, clockTolerance_ms: 500, daemonVersions: ['1.9.2', '1.10.0'] };
const wide: PowerRound = { ...middle, clockTolerance_ms: 800 };
const late: PowerRound = {
  ...early,
  clockTolerance_ms: 800,
  daemonVersions: ['1.11.1'],
  serverResult: 'completed',
};

const rounds: Readonly<Record<string, PowerRound>> = {
  'v1.0': { ...early, timesAreUtc: false, logsQueryCount: false, clientUploads: true },
  'v1.1': { ...early, logsQueryCount: false },
  'v2.0': early,
  'v2.1': { ...early, clockTolerance_ms: 500 },
  'v3.0': middle,
  'v3.1': middle,
  'v4.0': wide,
  'v4.1': { ...wide, serverResult: 'completed' },
  'v5.0': late,
  'v5.1': late,
};

/** The rules of a round such as `v1.1`, or null where Joulemark knows none for it. */
export function powerRound(round: string | null): PowerRound | null {
  return round !== null && Object.hasOwn(rounds, round) ? (rounds[round] as PowerRound) : null;
}

/** Limits that all rounds share. */
export const powerLimits = {
  /** Shortest measured window. */
  minDuration_s: 600,
  /** Largest uncertainty of one sample. */
  uncertainty_pct: 1,
  /** Largest difference of the average power between testing and ranging, either way. */
  testingToRanging_pct: 5,
  /** A change of this size is material to an auditor. */
  material_pct: 2,
} as const;

/** Analyzers (names as PTDaemon identifies them) and their device numbers. */
export const powerAnalyzers: Readonly<Record<string, number>> = {
  YokogawaWT210: 8,
  YokogawaWT500: 35,
  YokogawaWT500_multichannel: 48,
  YokogawaWT310: 49,
  YokogawaWT310E: 49,
  YokogawaWT330: 52,
  YokogawaWT330E: 52,
  YokogawaWT330_multichannel: 77,
  YokogawaWT210_DC: 508,
  YokogawaWT310_DC: 549,
  YokogawaWT330_DC: 586,
};

/** The scenario that a folder or log name means, or null. */
export function powerScenario(name: string | null): PowerScenario | null {
  switch (name?.toLowerCase().replace(/[^a-z]/g, '')) {
    case 'offline':
      return 'Offline';
    case 'server':
      return 'Server';
    case 'interactive':
      return 'Interactive';
    case 'singlestream':
      return 'SingleStream';
    case 'multistream':
      return 'MultiStream';
    default:
      return null;
  }
}

/** What loadgen's detail log says that the metrics need; null where it does not say it. */
export interface LoadgenFigures {
  /** `effective_scenario` */
  scenario: PowerScenario | null;
  /** `result_query_count` */
  queryCount: number | null;
  /** `generated_query_count`, `generated_samples_per_query` */
  generatedQueries: number | null;
  generatedSamplesPerQuery: number | null;
  /** `effective_samples_per_query` */
  samplesPerQuery: number | null;
  /** `result_qps_with_loadgen_overhead`, `result_qps_without_loadgen_overhead` */
  queriesPerSecond: number | null;
  queriesPerSecondWithoutOverhead: number | null;
  /** `result_mean_query_latency_ns` */
  meanQueryLatency_ns: number | null;
  /** `result_samples_per_second` (Offline) */
  samplesPerSecond: number | null;
  /** `result_scheduled_samples_per_sec`, `result_completed_samples_per_sec` (Server) */
  scheduledSamplesPerSecond: number | null;
  completedSamplesPerSecond: number | null;
}

/** The metrics of one power run; null where the log does not hold what they need. */
export interface PowerMetrics {
  energy_J: number;
  queries: number | null;
  samplesPerQuery: number | null;
  /** SingleStream and MultiStream only. */
  energyPerQuery_mJ: number | null;
  /** Samples a joule (samples a second a watt). */
  samplesPerJoule: number | null;
}

/**
 * Samples a second that a result states: of Offline and Server as loadgen logs them, of an Offline result that is
 * inferred from a log of streams as the checker infers it. Null for streams, and where the log lacks the figure.
 *
 * @param scenario that the result was submitted for
 */
export function statedSamplesPerSecond(
  scenario: PowerScenario | null,
  log: LoadgenFigures,
  round: PowerRound | null,
): number | null {
  const { scheduledSamplesPerSecond: scheduled, completedSamplesPerSecond: completed } = log;
  switch (scenario) {
    case 'Offline':
      if (log.scenario === 'SingleStream') return log.queriesPerSecondWithoutOverhead;
      if (log.scenario !== 'MultiStream') return log.samplesPerSecond;
      return log.samplesPerQuery === null || !(log.meanQueryLatency_ns !== null && log.meanQueryLatency_ns > 0)
        ? null
        : (log.samplesPerQuery * 1e9) / log.meanQueryLatency_ns;
    case 'Server':
    case 'Interactive':
      return round?.serverResult === 'scheduled' ? (scheduled ?? completed) : (completed ?? scheduled);
    default:
      return null;
  }
}

/**
 * The published metrics: W and samples a second a watt for Offline, Server and Interactive; for the streams
 * mJ/query = W * s * 1000 / queries, times 8 where a MultiStream result is inferred from a SingleStream log (from
 * v2.0 on), and samples a joule = 1000 * samples a query / (mJ/query).
 * Before v2.0 loadgen logs no query count: SingleStream takes its queries a second times the duration, MultiStream
 * the generated queries times their samples, as the checker of those rounds did.
 *
 * @param scenario that the result was submitted for (its folder); the log's own where the folder names none
 */
export function powerMetrics(
  power_W: number,
  duration_s: number,
  scenario: PowerScenario | null,
  log: LoadgenFigures,
  round: PowerRound | null,
): PowerMetrics {
  const energy_J = power_W * duration_s;
  const submitted = scenario ?? log.scenario;
  if (submitted !== 'SingleStream' && submitted !== 'MultiStream') {
    const stated = statedSamplesPerSecond(submitted, log, round);
    const samplesPerJoule = stated === null ? null : stated / power_W;
    return { energy_J, queries: null, samplesPerQuery: null, energyPerQuery_mJ: null, samplesPerJoule };
  }
  const queries = queryCount(submitted, duration_s, log, round);
  const samplesPerQuery = submitted === 'MultiStream' ? 8 : 1;
  if (queries === null || !(queries > 0)) {
    return { energy_J, queries, samplesPerQuery, energyPerQuery_mJ: null, samplesPerJoule: null };
  }
  const isInferred = submitted === 'MultiStream' && log.scenario === 'SingleStream' && round?.logsQueryCount !== false;
  const energyPerQuery_mJ = (energy_J * (isInferred ? samplesPerQuery : 1) * 1000) / queries;
  return {
    energy_J,
    queries,
    samplesPerQuery,
    energyPerQuery_mJ,
    samplesPerJoule: (samplesPerQuery * 1000) / energyPerQuery_mJ,
  };
}

function queryCount(
  scenario: 'SingleStream' | 'MultiStream',
  duration_s: number,
  log: LoadgenFigures,
  round: PowerRound | null,
): number | null {
  if (log.queryCount !== null && round?.logsQueryCount !== false) return log.queryCount;
  if (scenario === 'MultiStream' && log.scenario !== 'SingleStream') {
    const { generatedQueries, generatedSamplesPerQuery } = log;
    return generatedQueries === null || generatedSamplesPerQuery === null
      ? null
      : generatedQueries * generatedSamplesPerQuery;
  }
  return log.queriesPerSecond === null ? null : log.queriesPerSecond * duration_s;
}
