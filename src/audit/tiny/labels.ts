import { join } from 'node:path';
import { readLines } from '../../capture/formats/lines.ts';
import type { Profile } from '../../scoring/profiles/profile.ts';
import { FormatError } from '../../signal/errors.ts';

/** A list of inputs with their true classes. */
export interface Labels {
  path: string;
  classOf: Map<string, number>;
}

const maxLabels = 1_000_000;
const cache = new Map<string, Promise<Labels>>();

/**
 * Reads one list of labels: `file,classes,class[,bytes,stride]`, one input a line. Kept for the whole audit.
 *
 * @throws FormatError if the file cannot be read or a line does not follow
 */
export function readLabels(path: string): Promise<Labels> {
  let labels = cache.get(path);
  if (labels === undefined) {
    labels = parse(path);
    labels.catch(() => cache.delete(path));
    cache.set(path, labels);
  }
  return labels;
}

async function parse(path: string): Promise<Labels> {
  const classOf = new Map<string, number>();
  for await (const line of readLines(path)) {
    const text = line.text.trim();
    if (text === '') continue;
    const [file, , label] = text.split(',');
    const value = Number(label);
    if (!file || label === undefined || !Number.isInteger(value) || value < 0 || classOf.size >= maxLabels) {
      throw new FormatError('labels.malformed', {
        where: `${path} line ${line.number}`,
        problem: `expected "file,classes,class", found ${JSON.stringify(text.slice(0, 60))}`,
        remedy: 'Give the folder with the y_labels lists of the benchmarks, one file a benchmark.',
      });
    }
    classOf.set(file.trim(), value);
  }
  return { path, classOf };
}

/**
 * The list of a benchmark that holds the inputs of a run: of several, the one that holds most of them.
 *
 * @returns null where the benchmark has no list, or none of its lists is in the folder
 */
export async function labelsFor(
  folder: string,
  profile: Profile,
  inputs: ReadonlySet<string>,
): Promise<{ labels: Labels; known: number } | null> {
  let best: { labels: Labels; known: number } | null = null;
  for (const { file } of profile.labels) {
    let labels: Labels;
    try {
      labels = await readLabels(join(folder, file));
    } catch (error) {
      if (error instanceof FormatError && error.code === 'labels.malformed') throw error;
      continue;
    }
    let known = 0;
    for (const input of inputs) if (labels.classOf.has(input)) known++;
    if (best === null || known > best.known) best = { labels, known };
  }
  return best;
}
