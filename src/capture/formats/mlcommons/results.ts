import { NUMBER, PerformanceLines, type Printed, type PrintedPerformance, printed, WindowLines } from '../printed.ts';
import {
  MedianEnergyLine,
  parseResultsText,
  type ResultsCounts,
  type ResultsParser,
  readResultsFile,
  takeField,
} from '../results-lines.ts';

/** One "Energy data for trial K" of the MLCommons runner. */
export interface PrintedTrial {
  index: number;
  /** Python's shortest text of the number. */
  elapsed_s: Printed | null;
  inferences: Printed | null;
  power_mW: Printed | null;
  energy_uJ: Printed | null;
  energyPerInference_uJ: Printed | null;
  /** The runner marked the trial "<<<< below minimum duration". */
  belowMinimum: boolean;
}

/** What the MLCommons runner prints of a streaming wakeword run. */
export interface PrintedWakeword {
  truePositives: Printed;
  falseNegatives: Printed;
  falsePositives: Printed;
  dutyCycle: Printed | null;
  period_s: Printed | null;
  throughput_ips: Printed | null;
}

/** Everything that a results.txt of the MLCommons runner can say, each number with its printed text. */
export interface MlcResults extends PrintedPerformance {
  /** "Power Edition Output" stands in it: an energy run. */
  energyMode: boolean;
  trials: PrintedTrial[];
  medianEnergy_uJ: Printed | null;
  wakeword: PrintedWakeword | null;
  counts: ResultsCounts;
}

const prefix = /^\d{4}\.\d{6} (?:ulp-mlperf: ?)?/;
const trialHeading = /^Energy data for trial (\d{1,9})$/;
const accuracyLine = /^Accuracy: (\d{1,9}) True positives, (\d{1,9}) False negatives, (\d{1,9}) False positives$/;
const dutyCycleLine = new RegExp(`^Average duty cycle: ${NUMBER}$`);
const periodLine = new RegExp(`^Average period: ${NUMBER} s$`);
const estimateLine = new RegExp(`^Estimated throughput: ${NUMBER} inf\\./sec\\.?$`);

type TrialField = 'elapsed' | 'inferences' | 'power' | 'energy' | 'energyPerInference' | 'below';

const trialLines: readonly [RegExp, TrialField][] = [
  [new RegExp(`^Elapsed time\\s*:\\s*${NUMBER}(?:\\s+<<<<.*)?$`), 'elapsed'],
  [new RegExp(`^Inferences\\s*:\\s*${NUMBER}$`), 'inferences'],
  [new RegExp(`^Power\\s*:\\s*${NUMBER} mW\\.?$`), 'power'],
  [new RegExp(`^Total Energy\\s*:\\s*${NUMBER} uJ$`), 'energy'],
  [new RegExp(`^Energy/Inf\\s*:\\s*${NUMBER} uJ/inf$`), 'energyPerInference'],
];

class MlcResultsParser implements ResultsParser<MlcResults> {
  readonly prefix = prefix;
  #energyMode = false;
  readonly #trials = new WindowLines<TrialField>();
  readonly #performance = new PerformanceLines();
  readonly #medianEnergy = new MedianEnergyLine();
  #detections: [Printed, Printed, Printed] | null = null;
  #dutyCycle: Printed | null = null;
  #period_s: Printed | null = null;
  #throughput_ips: Printed | null = null;

  take(message: string): boolean {
    return this.#takeTrial(message) || this.#performance.take(message) || this.#takeWakeword(message);
  }

  result(counts: ResultsCounts): MlcResults {
    return {
      energyMode: this.#energyMode,
      trials: this.#trials.windows().map(({ index, field }) => ({
        index,
        elapsed_s: field('elapsed'),
        inferences: field('inferences'),
        power_mW: field('power'),
        energy_uJ: field('energy'),
        energyPerInference_uJ: field('energyPerInference'),
        belowMinimum: field('below')?.value === 1,
      })),
      medianEnergy_uJ: this.#medianEnergy.value_uJ,
      ...this.#performance.result(),
      wakeword: this.#detections && {
        truePositives: this.#detections[0],
        falseNegatives: this.#detections[1],
        falsePositives: this.#detections[2],
        dutyCycle: this.#dutyCycle,
        period_s: this.#period_s,
        throughput_ips: this.#throughput_ips,
      },
      counts,
    };
  }

  #takeTrial(message: string): boolean {
    if (message === 'Power Edition Output') {
      this.#energyMode = true;
      return true;
    }
    const heading = trialHeading.exec(message);
    if (heading) {
      this.#trials.heading(Number(heading[1]));
      return true;
    }
    if (this.#medianEnergy.take(message)) return true;
    const field = takeField(message, trialLines, this.#trials);
    if (field === 'elapsed') {
      const below = message.includes('<<<<');
      this.#trials.value('below', { text: below ? 'below' : '', value: below ? 1 : 0 });
    }
    return field !== null;
  }

  #takeWakeword(message: string): boolean {
    const accuracy = accuracyLine.exec(message);
    if (accuracy) {
      this.#detections ??= [printed(accuracy[1])!, printed(accuracy[2])!, printed(accuracy[3])!];
      return true;
    }
    const dutyCycle = dutyCycleLine.exec(message);
    if (dutyCycle) this.#dutyCycle ??= printed(dutyCycle[1]);
    const period = periodLine.exec(message);
    if (period) this.#period_s ??= printed(period[1]);
    const estimate = estimateLine.exec(message);
    if (estimate) this.#throughput_ips ??= printed(estimate[1]);
    return dutyCycle !== null || period !== null || estimate !== null;
  }
}

/** Parses the text of a results.txt of the MLCommons runner. Nothing that it can hold makes it throw. */
export function parseMlcResults(text: string): MlcResults {
  return parseResultsText(text, new MlcResultsParser());
}

/** Reads a results.txt of the MLCommons runner. Throws a FormatError only where the file cannot be read. */
export function readMlcResults(path: string): Promise<MlcResults> {
  return readResultsFile(path, new MlcResultsParser());
}
