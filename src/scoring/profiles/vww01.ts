import type { Profile } from './profile.ts';

export const vww01: Profile = {
  id: 'vww01',
  name: 'vww',
  aliases: ['vww', 'vww01', 'visual_wake_words', 'person_detection', 'person-detection'],
  title: 'Visual wake words',
  task: 'classification',
  classes: 2,
  windows: 5,
  minimumDuration_s: 10,
  minimumIterations: 10,
  statistic: 'median',
  warmups: 1,
  labels: [
    {
      file: 'vww01.csv',
      firstInputs: ['000000343218.bin', '000000332570.bin', '000000352684.bin', '000000003934.bin', '000000272566.bin'],
    },
  ],
  quality: [{ metric: 'top1_pct', sense: 'at-least', value: 80 }],
  source:
    'MLPerf Tiny rules (benchmark/MLPerfTiny_Rules.adoc); EnergyRunner README and its error text: at least 10 s and 10 iterations',
};
