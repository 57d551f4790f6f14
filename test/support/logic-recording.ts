/** A wire in true time. */
export interface Wire {
  /** At the beginning. */
  isHigh: boolean;
  changes_s: readonly number[];
}

/** A logic analyser's clock: it counts faster by `skew` and shows `offset_s` at time 0. */
export interface AnalyserClock {
  skew: number;
  offset_s: number;
}

interface Change {
  ns: number;
  name: string;
  isHigh: boolean;
}

function changesOf(wires: Record<string, Wire>, { skew, offset_s }: AnalyserClock): Change[] {
  const changes = Object.entries(wires).flatMap(([name, { isHigh, changes_s }]) =>
    changes_s.map((at_s, k) => ({
      ns: Math.round((at_s * (1 + skew) + offset_s) * 1e9),
      name,
      isHigh: (k % 2 === 0) !== isHigh,
    })),
  );
  return changes.sort((a, b) => a.ns - b.ns);
}

/** A Value Change Dump in steps of 1 ns. */
export function vcdOf(wires: Record<string, Wire>, clock: AnalyserClock): string {
  const names = Object.keys(wires);
  const codeOf = (name: string) => String.fromCharCode(33 + names.indexOf(name));
  const bit = (isHigh: boolean) => (isHigh ? '1' : '0');
  return [
    '$timescale 1 ns $end',
    '$scope module analyser $end',
    ...names.map((name) => `$var wire 1 ${codeOf(name)} ${name} $end`),
    '$upscope $end $enddefinitions $end',
    `#0 ${names.map((name) => `${bit(wires[name]!.isHigh)}${codeOf(name)}`).join(' ')}`,
    ...changesOf(wires, clock).map(({ ns, name, isHigh }) => `#${ns} ${bit(isHigh)}${codeOf(name)}`),
    '',
  ].join('\n');
}

/** As Logic 2 exports digital channels. */
export function saleaeCsvOf(wires: Record<string, Wire>, clock: AnalyserClock): string {
  const names = Object.keys(wires);
  const levels = new Map(names.map((name) => [name, wires[name]!.isHigh]));
  const row = (ns: number) =>
    [
      `${Math.floor(ns / 1e9)}.${String(ns % 1e9).padStart(9, '0')}`,
      ...names.map((name) => (levels.get(name) ? 1 : 0)),
    ].join();
  const rows = changesOf(wires, clock).map(({ ns, name, isHigh }) => {
    levels.set(name, isHigh);
    return row(ns);
  });
  const first = ['0.000000000', ...names.map((name) => (wires[name]!.isHigh ? 1 : 0))].join();
  return [`Time [s],${names.map((name) => `"${name}"`).join()}`, first, ...rows, ''].join('\n');
}
