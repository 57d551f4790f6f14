import type { Profile } from './profile.ts';

/** `strww01` is the same model under its earlier name. One window: the whole 1,200 s recording, counted as one inference. */
export const sww01: Profile = {
  id: 'sww01',
  name: 'sww',
  aliases: ['sww', 'sww01', 'strww', 'strww01', 'streaming_wakeword', 'streaming-wakeword'],
  title: 'Streaming wakeword',
  task: 'streaming-wakeword',
  classes: null,
  windows: 1,
  minimumDuration_s: 10,
  minimumIterations: 1,
  statistic: 'median',
  warmups: 0,
  labels: [],
  quality: [
    { metric: 'fp', sense: 'at-most', value: 8 },
    { metric: 'fn', sense: 'at-most', value: 8 },
  ],
  source:
    'MLPerf Tiny rules (benchmark/MLPerfTiny_Rules.adoc) and the MLCommons runner (benchmark/runner) of round v1.3',
};
