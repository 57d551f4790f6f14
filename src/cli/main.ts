import { Command, CommanderError } from 'commander';
import { ExitCode, InterruptedError, JoulemarkError } from '../signal/errors.ts';
import { printError } from './print-error.ts';
import { version } from './version.ts';

/**
 * The command line. Each command is a file of its own that is loaded when it is asked for. An expected failure
 * becomes one message and exit code 2; a stack trace only with JOULEMARK_DEBUG=1.
 */
export async function main(argv: string[]): Promise<void> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // A closed pipe (`joulemark ... | head`) is no failure of ours; a full disk is.
    if (error.code === 'EPIPE') process.exit();
    process.stderr.write(
      `error: stdout: ${error.message}\n  Make room, or send the output elsewhere. [output.unwritable]\n`,
    );
    process.exit(ExitCode.cannot);
  });
  // Where nobody reads messages, the work goes on without them.
  process.stderr.on('error', () => {});
  // What a timer or a listener throws reaches no `catch`.
  process.on('uncaughtException', (error) => process.exit(report(error)));
  try {
    await program().parseAsync(argv);
  } catch (error) {
    process.exitCode = report(error);
  }
}

function program(): Command {
  const joulemark = new Command('joulemark')
    .description('Runs, calibrates and audits energy measurements of machine-learning inference.')
    .version(version, '-V, --version')
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('  add --help to see how it is used');

  const add = (usage: string, description: string) =>
    joulemark
      .command(usage)
      .description(description)
      .option('--json', 'print one JSON document on stdout')
      .option('-q, --quiet', 'print nothing but results and errors');

  add('run [rig.yaml]', 'run a benchmark; without a file on the built-in virtual rig')
    .option('-o, --out <folder>', 'the run folder to make; it must not exist')
    .option('--seed <n>', 'seed of everything that is simulated')
    .option(
      '--instrument <family>',
      "measure with this instrument instead of the rig file's, emulated unless the rig says otherwise",
    )
    .option('--dut <connection>', 'drive this device: pty, qemu, or the path of its serial port')
    .option('--mode <mode>', 'of a device on a serial port: energy (default), performance or accuracy')
    .option('--profile <id>', 'benchmark profile, e.g. kws01, or per-inference')
    .option('--inferences <n>', 'number of inferences (per-inference only)')
    .option('--fault <kind>', 'a fault that the virtual rig shows; may be repeated', repeated)
    .option('--slicing <rule>', 'auto, guard-band or proportional')
    .option('--net <baseline>', 'add net energy above low-quantile or two-cluster')
    .option('--pace <factor>', 'virtual seconds a real second, e.g. 1 for real time')
    .option('--sign <key.pem>', 'sign the run folder with this private key')
    .option('--csv <file>', 'write the windows as CSV; - is stdout')
    .action(async (rig, options) => (await import('./run.ts')).run(rig, options));

  add('score <recording...>', "score a run folder, or another tool's recording")
    .option('--slicing <rule>', 'auto, guard-band or proportional (run folders)')
    .option('--net <baseline>', 'add net energy above low-quantile or two-cluster (run folders)')
    .option('--trace-unit <unit>', 'unit of trace values at rates other than 1 kHz: uJ or mW (EnergyRunner)')
    .option('--edges <file>', "take the edges of a logic analyser's recording: VCD, sigrok or Saleae CSV (run folders)")
    .option('--edges-channel <line>', "the recording's line on the trigger pin (absent: as the rig file said)")
    .option('--group-delay', 'measure the group delay of each range from load steps that the trigger pin drives')
    .option('--csv <file>', 'write the windows as CSV; - is stdout')
    .action(async (recordings, options) => (await import('./score.ts')).score(recordings, options));

  add('audit [path...]', 'recompute every claim found below the paths; name each broken rule')
    .option('--labels <folder>', 'label lists of the benchmarks (kws01.csv...), for accuracy')
    .option('--index <file>', 'JSON of an earlier audit, to find traces submitted before; may be repeated', repeated)
    .option('--trust <key.pem>', 'a public key whose signature on run folders is trusted; may be repeated', repeated)
    .option('--fail-on <severity>', 'error, warning or info: from here on the exit code is 1 (default error)')
    .option('--md <file>', 'write the audit as Markdown')
    .option('--html <file>', 'write the audit as an HTML page')
    .option('--sarif <file>', 'write the findings as SARIF')
    .option('--explain <code>', 'say what a finding code means, and nothing else')
    .option('-v, --verbose', 'show findings of severity info too')
    .action(async (paths, options) => (await import('./audit.ts')).audit(paths, options));

  add('verify <folder>', 'check hashes, chain and signature of a run folder')
    .option('--trust <key.pem>', 'a public key whose signature is trusted; may be repeated', repeated)
    .action(async (folder, options) => (await import('./verify.ts')).verify(folder, options));

  add('recover <in> <out>', 'make a closed copy of a capture that was cut off').action(async (input, output, options) =>
    (await import('./recover.ts')).recover(input, output, options),
  );

  add('devices', 'list the instruments that are connected')
    .option('--watch', 'go on and tell of instruments as they are plugged in and pulled out')
    .option('--ask <vid:pid...>', 'also ask serial ports of these USB ids for a device under test or an IO manager')
    .action(async (options) => (await import('./devices.ts')).devices(options));

  add('emulate <family>', 'run an emulated instrument, `dut` or `io-manager`, and print where it can be reached')
    .option('--signal <signal>', 'dc:10mA, sine:10mA,5mA,50Hz or steps:1uA/5ms,20mA/5ms, with @3.3V for the voltage')
    .option('--fault <fault>', 'a fault that it shows (docs/instruments); may be repeated', repeated)
    .option('--model <model>', 'dut, io-manager: the benchmark that the DUT runs (default kws01)')
    .option('--mode <mode>', 'dut, io-manager: energy (default) or performance')
    .option('--kind <kind>', 'io-manager: uno (default) or interface-board')
    .option('--sound <s>', 'interface-board: length of the made-up sound that a DUT of sww01 hears (default 1200)')
    .action(async (family, options) => (await import('./emulate.ts')).emulate(family, options));

  add('doctor', 'say what is missing on this machine, and how to fix it').action(async (options) =>
    (await import('./doctor.ts')).doctor(options),
  );

  add('keygen <name>', 'make a signing key: <name>.key.pem and <name>.pub.pem').action(async (name, options) =>
    (await import('./keygen.ts')).keygen(name, options),
  );

  add('report <run...>', 'write the HTML report of one run, or a comparison of several')
    .option('-o, --out <file>', 'the HTML file to write; it must not exist')
    .action(async (runs, options) => (await import('./report.ts')).report(runs, options));

  return joulemark;
}

/** Values of an option that is given several times. (A list after one option would swallow the paths behind it.) */
function repeated(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/** Prints what went wrong and gives the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed its message already; help and version are no failures.
    return error.exitCode === 0 ? ExitCode.ok : ExitCode.cannot;
  }
  if (process.env.JOULEMARK_DEBUG === '1') console.error(error);
  if (error instanceof InterruptedError) {
    printError(error.message, error.remedy);
    return ExitCode.interrupted;
  }
  if (error instanceof JoulemarkError) {
    printError(error.message, `${error.remedy} [${error.code}]`);
  } else {
    const text = error instanceof Error ? error.message : String(error);
    printError(`this is a bug in Joulemark: ${text}`, 'Please report it; JOULEMARK_DEBUG=1 prints where it happened.');
  }
  return ExitCode.cannot;
}
