import type { InstrumentFamily } from './family.ts';

/** Every family, loaded when it is asked for, in the order in which they are listed. */
export const instrumentFamilies: Readonly<Record<string, () => Promise<InstrumentFamily>>> = {
  ppk2: async () => (await import('./ppk2/family.ts')).ppk2Family,
  lpm01a: async () => (await import('./lpm01a/family.ts')).lpm01aFamily,
  js110: async () => (await import('./js110/family.ts')).js110Family,
  js220: async () => (await import('./js220/family.ts')).js220Family,
  monsoon: async () => (await import('./monsoon/family.ts')).monsoonFamily,
  ptdaemon: async () => (await import('./ptdaemon/family.ts')).ptdaemonFamily,
  wt310: async () => (await import('./scpi/family.ts')).wt310Family,
  n6705: async () => (await import('./scpi/family.ts')).n6705Family,
  '34465a': async () => (await import('./scpi/family.ts')).dmm34465aFamily,
  otii: async () => (await import('./otii/family.ts')).otiiFamily,
  ina226: async () => (await import('./ina226/family.ts')).ina226Family,
  ina228: async () => (await import('./ina228/family.ts')).ina228Family,
};
