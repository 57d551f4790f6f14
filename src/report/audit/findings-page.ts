import { findingCatalogue } from '../../audit/findings.ts';
import { decisionText } from './explain.ts';

const opening = `# Findings

An audit answers three questions about each claim:

- **arithmetic**: does the claimed figure follow from the submitted evidence by the published arithmetic?
  \`exact\` (a rounding tie included), \`differs\`, or \`none\` (it cannot be recomputed);
- **evidence**: does the evidence show what the claim says it shows? \`supports\`, \`contradicts\` (only where it shows
  that something else was measured), or \`incomplete\`;
- **rules**: were the rules of the round kept? \`met\`, \`broken\`, or \`unknown\` (which lowers no verdict).

The verdict is the first that applies: \`refuted\` (arithmetic differs or evidence contradicts), \`unverifiable\`
(arithmetic none or evidence incomplete), \`irregular\` (rules broken), \`upheld\`. No answer is lowered without a
finding that says why: each answer is the worst that any finding of the claim makes of it.

Findings state what the files show. They accuse nobody: most of what an audit finds is a lost edge, a lost file or a
serial line that dropped a byte, and every code says what a submitter can reply.

## What \`evidence\` means

- **Energy (MLPerf Tiny)**: the windows of the trace lie over the inferences that the log shows, log and trace belong
  together (edges, length, clock rates), and the samples are what the named instrument can deliver, within its range.
- **Performance (MLPerf Tiny)**: the timestamps that the device printed are complete, and its clock agrees with the
  log's about how long a window lasts.
- **Accuracy (MLPerf Tiny)**: the log holds the device's answer to every input of the benchmark's list, and the labels
  are at hand. Without \`--labels\` the answers cannot be scored.
- **Streaming wakeword**: the detections are in the files, and with them the ground truth (results.json). Without the
  ground truth the log's own lists are held against its detections.
- **Power (MLPerf Power, PTDaemon)**: the power samples are those of the session and cover at least 98 % of the test
  window, and PTDaemon's log tells their uncertainty. An uncertainty above the limit, clocks, hashes and the checks of
  the official checker are rules. A run's folder states no average power; \`arithmetic\` is therefore \`exact\` where
  the average follows from samples and window and every printed number that can be recomputed (PTDaemon's own average
  over the measurement, loadgen's samples a second, its summary) comes out to its digits.
- **Joulemark's own runs**: the run folder is whole (hashes, chain, signature), it was not simulated, and re-scoring
  its samples gives its result.

\`joulemark audit --explain CODE\` prints an entry of this page. The page is generated from the catalogue in
\`src/audit/\`; a test keeps the two the same.
`;

/** docs/findings.md: every code with its meaning, the answer that it decides, its rule and its source. */
export function findingsPage(): string {
  const parts = [opening];
  for (const code of Object.keys(findingCatalogue).sort()) {
    const entry = findingCatalogue[code];
    if (entry === undefined) continue;
    parts.push(
      `## \`${code}\``,
      `**${entry.title}** (${entry.severity})`,
      entry.explanation,
      [
        `- ${decisionText(entry)}`,
        `- **Rule:** ${entry.rule}`,
        `- **Source:** ${entry.source}`,
        `- **Evidence shown:** ${entry.shows}`,
        `- **A submitter can say:** ${entry.reply}`,
      ].join('\n'),
    );
  }
  return `${parts.map((part) => part.trim()).join('\n\n')}\n`;
}
