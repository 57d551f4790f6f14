import type { Profile } from './profile.ts';

/** The list of inputs changed after v0.5; some later runs still use the first one. The names of the inputs tell them apart. */
export const ic01: Profile = {
  id: 'ic01',
  name: 'ic',
  aliases: ['ic', 'ic01', 'image_classification', 'image-classification'],
  title: 'Image classification',
  task: 'classification',
  classes: 10,
  windows: 5,
  minimumDuration_s: 10,
  minimumIterations: 10,
  statistic: 'median',
  warmups: 1,
  labels: [
    {
      file: 'ic01.csv',
      firstInputs: [
        'emu_s_002009.bin',
        'taxi_s_001241.bin',
        'accentor_s_001031.bin',
        'mongrel_s_000686.bin',
        'stealth_bomber_s_002204.bin',
      ],
    },
    {
      file: 'ic01_v0.5.csv',
      firstInputs: [
        'lippizaner_s_000613.bin',
        'toy_spaniel_s_000285.bin',
        'felis_domesticus_s_000074.bin',
        'mackinaw_boat_s_000354.bin',
        'passenger_ship_s_000578.bin',
      ],
    },
  ],
  quality: [{ metric: 'top1_pct', sense: 'at-least', value: 85 }],
  source:
    'MLPerf Tiny rules (benchmark/MLPerfTiny_Rules.adoc); EnergyRunner README and its error text: at least 10 s and 10 iterations',
};
