import { verifyRunFolder } from '../capture/verify.ts';
import { plural } from '../report/audit/words.ts';
import { printable } from '../report/text.ts';
import { ExitCode } from '../signal/errors.ts';
import { readPublicKey } from './keys.ts';
import type { CommonOptions } from './options.ts';
import { printJson } from './output.ts';
import { Progress } from './progress.ts';

interface VerifyCommandOptions extends CommonOptions {
  trust?: string[];
}

export async function verify(folder: string, options: VerifyCommandOptions): Promise<void> {
  const trustedKeys = options.trust?.map(readPublicKey);
  const progress = new Progress('verifying', options);
  const report = await verifyRunFolder(folder, {
    trustedKeys,
    onProgress: (share) => progress.update(share),
  }).finally(() => progress.stop());
  if (options.json) {
    printJson({ schema: 'joulemark.verify/1', path: folder, ...report });
  } else {
    const lines = report.problems.map(({ file, block, offset, problem }) => {
      const place = block === null ? '' : `, block ${block}${offset === null ? '' : ` (byte ${offset})`}`;
      return `${printable(file)}${place}: ${printable(problem)}`;
    });
    const state = report.ok ? 'unchanged since it was sealed' : plural(report.problems.length, 'problem');
    const signature = report.signer === null ? report.signature : `${report.signature}, key ${report.signer}`;
    const simulated = report.simulated === true ? ', SIMULATED' : '';
    process.stdout.write(
      `${[...lines, `${printable(folder)}: ${state}; signature: ${signature}${simulated}`].join('\n')}\n`,
    );
  }
  process.exitCode = report.ok ? ExitCode.ok : ExitCode.bad;
}
