import { NUMBER, PerformanceLines, type Printed, type PrintedPerformance, printed, WindowLines } from '../printed.ts';
import {
  MedianEnergyLine,
  parseResultsText,
  type ResultsCounts,
  type ResultsParser,
  readResultsFile,
  takeField,
} from '../results-lines.ts';

/** One "Energy data for window K" of an EnergyRunner results.txt. */
export interface PrintedEnergyWindow {
  index: number;
  /** "at time", G[a] to two decimals. */
  start_s: Printed;
  /** "for", G[b] - G[a] to two decimals. */
  duration_s: Printed;
  energy_uJ: Printed | null;
  power_uW: Printed | null;
  energyPerInference_uJ: Printed | null;
}

/** Everything that an EnergyRunner results.txt can say, each number with its printed text. */
export interface EnergyRunnerResults extends PrintedPerformance {
  energyWindows: PrintedEnergyWindow[];
  medianEnergy_uJ: Printed | null;
  counts: ResultsCounts;
}

const prefix = /^\d{4,9}\.\d{3,6} (?:ulp-ml|ulp-mlperf): ?/;
const energyHeading = new RegExp(`^Energy data for window (\\d{1,9}) at time ${NUMBER} for ${NUMBER} sec\\.:?$`);

type EnergyField = 'energy' | 'power' | 'energyPerInference';

const energyLines: readonly [RegExp, EnergyField][] = [
  [new RegExp(`^Energy\\s*:\\s*${NUMBER} uJ$`), 'energy'],
  [new RegExp(`^Power\\s*:\\s*${NUMBER} uW$`), 'power'],
  [new RegExp(`^Energy/Inf\\.?\\s*:\\s*${NUMBER} uJ/inf\\.?$`), 'energyPerInference'],
];

class EnergyRunnerParser implements ResultsParser<EnergyRunnerResults> {
  readonly prefix = prefix;
  readonly #energy = new WindowLines<EnergyField>();
  readonly #performance = new PerformanceLines();
  readonly #medianEnergy = new MedianEnergyLine();

  take(message: string): boolean {
    return (
      this.#takeHeading(message) ||
      this.#medianEnergy.take(message) ||
      takeField(message, energyLines, this.#energy) !== null ||
      this.#performance.take(message)
    );
  }

  result(counts: ResultsCounts): EnergyRunnerResults {
    return {
      energyWindows: this.#energy.windows().map(({ index, head, field }) => ({
        index,
        start_s: head[0]!,
        duration_s: head[1]!,
        energy_uJ: field('energy'),
        power_uW: field('power'),
        energyPerInference_uJ: field('energyPerInference'),
      })),
      medianEnergy_uJ: this.#medianEnergy.value_uJ,
      ...this.#performance.result(),
      counts,
    };
  }

  #takeHeading(message: string): boolean {
    const heading = energyHeading.exec(message);
    if (!heading) return false;
    const start = printed(heading[2]);
    const duration = printed(heading[3]);
    if (start && duration) this.#energy.heading(Number(heading[1]), [start, duration]);
    return true;
  }
}

/** Parses the text of an EnergyRunner results.txt (energy, performance or accuracy run). */
export function parseResults(text: string): EnergyRunnerResults {
  return parseResultsText(text, new EnergyRunnerParser());
}

/** Reads an EnergyRunner results.txt. Throws a FormatError only where the file cannot be read. */
export function readResults(path: string): Promise<EnergyRunnerResults> {
  return readResultsFile(path, new EnergyRunnerParser());
}
