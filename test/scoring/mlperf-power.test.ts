import { describe, expect, it } from 'vitest';
import {
  type LoadgenFigures,
  powerMetrics,
  powerRound,
  powerScenario,
  statedSamplesPerSecond,
} from '../../src/scoring/profiles/mlperf-power.ts';

const nothing: LoadgenFigures = {
  scenario: null,
  queryCount: null,
  generatedQueries: null,
  generatedSamplesPerQuery: null,
  samplesPerQuery: null,
  queriesPerSecond: null,
  queriesPerSecondWithoutOverhead: null,
  meanQueryLatency_ns: null,
  samplesPerSecond: null,
  scheduledSamplesPerSecond: null,
  completedSamplesPerSecond: null,
};

describe('the metrics of MLPerf Power', () => {
  it('are mJ a query for the streams, from the counted queries', () => {
    const log = { ...nothing, scenario: 'SingleStream' as const, queryCount: 287_647 };
    const m = powerMetrics(523.943333, 600.003, null, log, powerRound('v2.0'));
    expect(m.energyPerQuery_mJ?.toFixed(4)).toBe('1092.8936');
    expect(m.samplesPerJoule).toBeCloseTo(1000 / 1092.8936, 6);
  });

  it('count eight samples a query for MultiStream, and eight queries where it is inferred from SingleStream', () => {
    const log = { ...nothing, scenario: 'MultiStream' as const, queryCount: 1000 };
    expect(powerMetrics(10, 600, null, log, null)).toMatchObject({
      energyPerQuery_mJ: 6000,
      samplesPerJoule: 8000 / 6000,
    });
    const inferred = powerMetrics(10, 600, 'MultiStream', { ...log, scenario: 'SingleStream' }, powerRound('v2.1'));
    expect(inferred.energyPerQuery_mJ).toBe(48_000);
  });

  it('rebuild the queries of the rounds before v2.0 as their checker did', () => {
    const single = { ...nothing, scenario: 'SingleStream' as const, queryCount: 7, queriesPerSecond: 2 };
    expect(powerMetrics(10, 600, null, single, powerRound('v1.1')).queries).toBe(1200);
    const multi = { ...nothing, scenario: 'MultiStream' as const, generatedQueries: 100, generatedSamplesPerQuery: 8 };
    expect(powerMetrics(10, 600, null, multi, powerRound('v1.0')).queries).toBe(800);
  });

  it('are samples a joule and no energy a query for Offline and Server', () => {
    const log = { ...nothing, scenario: 'Offline' as const, samplesPerSecond: 500 };
    expect(powerMetrics(10, 600, null, log, null)).toEqual({
      energy_J: 6000,
      queries: null,
      samplesPerQuery: null,
      energyPerQuery_mJ: null,
      samplesPerJoule: 50,
    });
  });

  it('take the samples a second of a Server run that the round calls its result', () => {
    const log = {
      ...nothing,
      scenario: 'Server' as const,
      scheduledSamplesPerSecond: 500,
      completedSamplesPerSecond: 400,
    };
    const efficiency = (round: string) => powerMetrics(10, 600, 'Server', log, powerRound(round)).samplesPerJoule;
    expect(['v2.1', 'v4.0', 'v4.1'].map(efficiency)).toEqual([50, 50, 40]);
    const scheduledOnly = { ...log, completedSamplesPerSecond: null };
    expect(powerMetrics(10, 600, 'Server', scheduledOnly, powerRound('v4.1')).samplesPerJoule).toBe(50);
  });

  it('of an Offline result inferred from streams take what the checker infers', () => {
    const single = { ...nothing, scenario: 'SingleStream' as const, queriesPerSecondWithoutOverhead: 546.9 };
    expect(statedSamplesPerSecond('Offline', single, null)).toBe(546.9);
    const multi = {
      ...nothing,
      scenario: 'MultiStream' as const,
      samplesPerQuery: 8,
      meanQueryLatency_ns: 4_000_000,
    };
    expect(powerMetrics(10, 600, 'Offline', multi, null)).toMatchObject({
      energyPerQuery_mJ: null,
      samplesPerJoule: 200,
    });
    expect(statedSamplesPerSecond('Offline', { ...multi, meanQueryLatency_ns: 0 }, null)).toBeNull();
    expect(statedSamplesPerSecond('SingleStream', single, null)).toBeNull();
  });

  it('are null where the log does not hold what they need', () => {
    const m = powerMetrics(10, 600, 'SingleStream', nothing, powerRound('v2.0'));
    expect([m.queries, m.energyPerQuery_mJ, m.samplesPerJoule]).toEqual([null, null, null]);
    expect(powerMetrics(10, 600, 'SingleStream', { ...nothing, queryCount: 0 }, null).energyPerQuery_mJ).toBeNull();
  });
});

it('a scenario is known by its folder name in any spelling', () => {
  expect(['single-stream', 'SingleStream', 'Multi_Stream', 'offline'].map(powerScenario)).toEqual([
    'SingleStream',
    'SingleStream',
    'MultiStream',
    'Offline',
  ]);
  expect([powerScenario('performance'), powerScenario(null)]).toEqual([null, null]);
});

it('a round is known from v1.0 on, and no other name is one', () => {
  expect(powerRound('v1.0')?.timesAreUtc).toBe(false);
  expect(powerRound('v4.1')?.daemonVersions).toEqual(['1.9.2', '1.10.0']);
  expect([powerRound('v0.7'), powerRound('constructor'), powerRound(null)]).toEqual([null, null, null]);
});
