import { existsSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { virtualFaultKinds } from '../instruments/virtual/index.ts';
import { defaultRigText, parseRig, readRigFile } from '../rig/rig-file.ts';
import { runBenchmark } from '../rig/run-benchmark.ts';
import type { SelfAudit } from '../rig/self-audit.ts';
import type { ScoreDocument } from '../scoring/score-document.ts';
import { slicingRules } from '../scoring/score-run.ts';
import { ExitCode, UsageError } from '../signal/errors.ts';
import { readPrivateKey } from './keys.ts';
import { type CommonOptions, choiceOption, numberOption } from './options.ts';
import { assertCsv, note, printJson, printScore, writeCsv } from './output.ts';
import { printError } from './print-error.ts';
import { Progress } from './progress.ts';

interface RunCommandOptions extends CommonOptions {
  out?: string;
  seed?: string;
  instrument?: string;
  dut?: string;
  mode?: string;
  profile?: string;
  inferences?: string;
  fault?: string[];
  slicing?: string;
  net?: string;
  pace?: string;
  sign?: string;
  csv?: string;
}

/** DUTs that have a name of their own. */
const simulatedDuts = ['pty', 'qemu', 'emulated'];

/** With --pace, the index of the last produced sample goes to stderr this often. */
const producedEvery_ms = 20;

/** Ctrl-C, a service manager, and a terminal that is closed: the capture so far is closed and kept. */
const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export async function run(rigPath: string | undefined, options: RunCommandOptions): Promise<void> {
  const original = rigPath === undefined ? defaultRigText : (await readRigFile(rigPath)).text;
  const rigText = withOverrides(original, options);
  const rig = parseRig(rigText, rigPath ?? 'the built-in rig');
  const pace = numberOption(options.pace, 'pace', { least: 1e-3 });
  const folder = options.out ?? freeFolder();
  if (options.inferences !== undefined && rig.profile !== 'per-inference') {
    throw new UsageError('usage.inferences', {
      where: `--inferences ${options.inferences}`,
      problem: `profile ${rig.profile} has its own number of inferences`,
      remedy: 'add --profile per-inference, or leave --inferences out',
    });
  }
  const keyPath = options.sign ?? rig.signing?.key;
  assertCsv(options);

  const interrupt = new AbortController();
  let stops = 0;
  const stop = () => {
    stops++;
    interrupt.abort();
    // A process that is killed leaves the supply on.
    if (stops === 2)
      note('ending: the supply goes off and the capture is closed; once more leaves them as they are', options);
    if (stops > 2) process.exit(ExitCode.interrupted);
  };
  for (const signal of endings) process.on(signal, stop);
  const progress = new Progress('running', options, 'handled');
  let produced: number | null = null;
  const timer =
    pace === undefined
      ? null
      : setInterval(() => {
          if (produced !== null) process.stderr.write(`produced ${produced}\n`);
        }, producedEvery_ms);
  const outcome = await runBenchmark(rig, {
    folder,
    rigText,
    pace,
    net: choiceOption(options.net, 'net', ['low-quantile', 'two-cluster']),
    interrupt: interrupt.signal,
    privateKey: keyPath === undefined ? undefined : readPrivateKey(keyPath),
    onProgress: (share) => share !== null && progress.update(share),
    onNotice: (text) => {
      progress.stop();
      note(text, options);
    },
    onProduced: (index) => {
      produced = index;
    },
  }).finally(() => {
    if (timer !== null) clearInterval(timer);
    progress.stop();
    for (const signal of endings) process.removeListener(signal, stop);
  });

  const { document, audit } = outcome;
  const layout = outcome.energyRunnerFolder;
  if (options.csv !== undefined) writeCsv(document, options.csv);
  if (options.json) {
    printJson({
      ...document,
      schema: 'joulemark.run/1',
      folder,
      report: outcome.reportPath,
      interrupted: outcome.interrupted,
      ...(document.mode !== undefined && { model: document.profile, unmet: unmetOf(document) }),
      energyRunner: { folder: layout, refusal: outcome.energyRunnerRefusal },
      ...(outcome.mlcommonsFolder !== null && { mlcommons: { folder: outcome.mlcommonsFolder } }),
      audit,
    });
  } else if (options.csv !== '-') {
    printScore(document, folder);
  }
  note(`Run folder: ${folder}\nReport:     ${outcome.reportPath}`, options);
  if (layout !== null) note(`EnergyRunner layout: ${layout}`, options);
  if (outcome.mlcommonsFolder !== null) note(`MLCommons layout: ${outcome.mlcommonsFolder}`, options);
  if (outcome.energyRunnerRefusal !== null) note(`No EnergyRunner layout: ${outcome.energyRunnerRefusal}`, options);
  if (audit !== null) note(`Audit of the layout: ${auditLine(audit)}`, options);
  const differs = audit === null ? null : disagreement(audit);
  if (differs !== null) printError(differs);
  if (outcome.interrupted) {
    note('interrupted: the capture so far is closed and kept', options);
    if (outcome.failure !== null) printError(outcome.failure.message, outcome.failure.remedy);
    process.exitCode = ExitCode.interrupted;
  } else if (document.refusal !== null) {
    printError(`${folder}: no figure can be given: ${document.refusal.message} [${document.refusal.code}]`);
    process.exitCode = ExitCode.cannot;
  } else if (
    audit?.arithmetic === 'differs' ||
    isShort(document) ||
    document.gates.some((gate) => gate.met === false)
  ) {
    process.exitCode = ExitCode.bad;
  }
}

/** True where the instrument vanished before the run was over. */
function isShort(document: ScoreDocument): boolean {
  return document.warnings.some(({ code }) => code === 'instrument.unplugged');
}

/** Demands of the benchmark that are not met, a sentence each. */
function unmetOf({ gates }: ScoreDocument): string[] {
  return gates.filter(({ met }) => met === false).map(({ demand, found }) => `${demand} demanded, found ${found}`);
}

/** What our own audit says of the layout, in one line. */
function auditLine({ verdict, arithmetic, evidence, rules, findings }: SelfAudit): string {
  const codes = findings.length === 0 ? '' : `; ${findings.join(', ')}`;
  return `${verdict}: arithmetic ${arithmetic}, evidence ${evidence}, rules ${rules}${codes}`;
}

/** Where the layout and the run it was written from tell different things; null where they agree. */
function disagreement({ folder, arithmetic, agreement }: SelfAudit): string | null {
  if (arithmetic === 'differs') {
    return `${folder}: its figures do not follow from its own files, which is a bug in Joulemark; please report it`;
  }
  if (agreement.agrees !== false) return null;
  const { energy_rel, throughput_rel } = agreement;
  if (energy_rel === null || throughput_rel === null)
    return `${folder}: it holds another number of windows than the run`;
  const percent = (share: number) => `${(100 * share).toPrecision(3)} %`;
  return `${folder}: its figures differ from those of the run by more than its grid of 1 ms allows: energy ${percent(energy_rel)}, throughput ${percent(throughput_rel)}`;
}

/** The rig file with what the command line says in place of what it says; comments and order stay. */
function withOverrides(text: string, options: RunCommandOptions): string {
  const seed = numberOption(options.seed, 'seed', { least: 0, whole: true });
  const inferences = numberOption(options.inferences, 'inferences', { least: 1, whole: true });
  const slicing = choiceOption(options.slicing, 'slicing', Object.keys(slicingRules));
  const mode = choiceOption(options.mode, 'mode', ['energy', 'performance', 'accuracy']);
  for (const fault of options.fault ?? []) choiceOption(fault, 'fault', virtualFaultKinds);
  const overrides = { seed, profile: options.profile, inferences, slicing, faults: options.fault };
  if ([options.instrument, options.dut, mode, ...Object.values(overrides)].every((value) => value === undefined))
    return text;
  const document = parseDocument(text);
  // A file that does not parse is left to parseRig, which names the line.
  if (document.errors.length > 0) return text;
  for (const [key, value] of Object.entries(overrides)) {
    if (value !== undefined) document.setIn([key], value);
  }
  if (options.dut !== undefined) {
    document.setIn(['dut', 'connection'], options.dut);
    const isPort = !simulatedDuts.includes(options.dut);
    if (isPort && document.getIn(['dut', 'name']) === undefined)
      document.setIn(['dut', 'name'], `DUT at ${options.dut}`);
  }
  if (mode !== undefined) document.setIn(['dut', 'mode'], mode);
  if (options.instrument !== undefined) {
    document.setIn(['instrument', 'family'], options.instrument);
    // The virtual DUT can only be measured by an emulated instrument.
    if (document.getIn(['instrument', 'connection']) === undefined) {
      document.setIn(['instrument', 'connection'], 'emulated');
    }
  }
  return document.toString();
}

/** A folder name that is free, by the time of day. */
function freeFolder(): string {
  const stamp = new Date().toISOString().replace(/[-:]/g, '').replace(/\..*/, 'Z');
  const base = `joulemark-run-${stamp}`;
  for (let n = 1; ; n++) {
    const name = n === 1 ? base : `${base}-${n}`;
    if (!existsSync(name)) return name;
  }
}
