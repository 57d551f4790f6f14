import { linesOf, readLines, type TextLine } from '../lines.ts';
import {
  countOddities,
  type LineOddities,
  NUMBER,
  noOddities,
  PerformanceLines,
  type Printed,
  type PrintedPerformance,
  printed,
  WindowLines,
} from '../printed.ts';

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
  counts: LineOddities & { unknown: number };
}

const prefix = /^\d{4,9}\.\d{3,6} (?:ulp-ml|ulp-mlperf): ?/;
const energyHeading = new RegExp(`^Energy data for window (\\d{1,9}) at time ${NUMBER} for ${NUMBER} sec\\.:?$`);
const energyLine = new RegExp(`^Energy\\s*:\\s*${NUMBER} uJ$`);
const powerLine = new RegExp(`^Power\\s*:\\s*${NUMBER} uW$`);
const energyPerInferenceLine = new RegExp(`^Energy/Inf\\.?\\s*:\\s*${NUMBER} uJ/inf\\.?$`);
const medianEnergyLine = new RegExp(`^Median energy cost is ${NUMBER} uJ/inf\\.?$`);
const rule = /^-+$/;

type EnergyField = 'energy' | 'power' | 'energyPerInference';

/** Collects the lines of an EnergyRunner results.txt. Nothing that the file can hold makes it throw. */
class ResultsParser {
  private readonly energy = new WindowLines<EnergyField>();
  private readonly performance = new PerformanceLines();
  private medianEnergy_uJ: Printed | null = null;
  private readonly counts = { ...noOddities(), unknown: 0 };

  push(line: TextLine): void {
    countOddities(this.counts, line);
    const message = line.text.replace(prefix, '').trim();
    if (message === '' || rule.test(message)) return;
    if (!this.takeEnergy(message) && !this.performance.take(message)) this.counts.unknown++;
  }

  result(): EnergyRunnerResults {
    return {
      energyWindows: this.energy.windows().map(({ index, head, field }) => ({
        index,
        start_s: head[0]!,
        duration_s: head[1]!,
        energy_uJ: field('energy'),
        power_uW: field('power'),
        energyPerInference_uJ: field('energyPerInference'),
      })),
      medianEnergy_uJ: this.medianEnergy_uJ,
      ...this.performance.result(),
      counts: this.counts,
    };
  }

  private takeEnergy(message: string): boolean {
    const heading = energyHeading.exec(message);
    if (heading) {
      const start = printed(heading[2]);
      const duration = printed(heading[3]);
      if (start && duration) this.energy.heading(Number(heading[1]), [start, duration]);
      return true;
    }
    const median = medianEnergyLine.exec(message);
    if (median) {
      this.medianEnergy_uJ ??= printed(median[1]);
      return true;
    }
    for (const [pattern, field] of energyLines) {
      const match = pattern.exec(message);
      if (match) {
        this.energy.value(field, printed(match[1]));
        return true;
      }
    }
    return false;
  }
}

const energyLines: [RegExp, EnergyField][] = [
  [energyLine, 'energy'],
  [powerLine, 'power'],
  [energyPerInferenceLine, 'energyPerInference'],
];

/** Parses the text of an EnergyRunner results.txt (energy, performance or accuracy run). */
export function parseResults(text: string): EnergyRunnerResults {
  const parser = new ResultsParser();
  for (const line of linesOf(text)) parser.push(line);
  return parser.result();
}

/** Reads an EnergyRunner results.txt. Throws a FormatError only where the file cannot be read. */
export async function readResults(path: string): Promise<EnergyRunnerResults> {
  const parser = new ResultsParser();
  for await (const line of readLines(path)) parser.push(line);
  return parser.result();
}
