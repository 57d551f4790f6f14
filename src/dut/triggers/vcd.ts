import { readLines } from '../../capture/formats/lines.ts';
import { FormatError } from '../../signal/errors.ts';
import type { Edge } from '../../signal/types.ts';
import { inBatches, type LogicRecording } from './logic-recording.ts';
import { EdgeMaker } from './trigger-source.ts';

const clockId = 'logic-analyser';
const units: Record<string, number> = { s: 1, ms: 1e3, us: 1e6, ns: 1e9, ps: 1e12, fs: 1e15 };
/** Lines that a header may name. */
const mostVariables = 10_000;

interface Header {
  tickHz: number;
  /** Identifier code of each one-bit line. */
  codes: Map<string, string>;
}

/**
 * Opens a Value Change Dump (IEEE 1364). One-bit wires and registers are its lines; vectors and reals are passed over. An edge has the
 * time of its change; `x` and `z` are no level.
 * @throws FormatError where the header is incomplete
 */
export async function openVcd(path: string): Promise<LogicRecording> {
  const header = await headerOf(path);
  return {
    path,
    format: 'vcd',
    clock: { id: clockId, tickHz: header.tickHz, kind: 'file', epoch_ns: null },
    channels: [...header.codes.keys()],
    ticksPerSample: null,
    edges: (channel) => inBatches(changes(path, channel, header.codes.get(channel))),
  };
}

/** Words with the line that they stand in. */
async function* words(path: string): AsyncGenerator<{ word: string; line: number }> {
  for await (const { text, number } of readLines(path)) {
    for (const word of text.split(/\s+/)) if (word !== '') yield { word, line: number };
  }
}

async function headerOf(path: string): Promise<Header> {
  const codes = new Map<string, string>();
  let tickHz: number | null = null;
  let section: string | null = null;
  let content: string[] = [];
  for await (const { word, line } of words(path)) {
    if (section === null) {
      if (word === '$enddefinitions') break;
      if (!/^\$[a-z]+$/.test(word))
        throw malformed(path, line, `expected a section such as $var, found ${brief(word)}`);
      section = word;
      content = [];
    } else if (word !== '$end') {
      if (content.length < 100) content.push(word);
    } else {
      if (section === '$timescale') tickHz = tickHzOf(content.join(''), path, line);
      if (section === '$var') {
        const [type, width, code, ...name] = content;
        if (code === undefined || name.length === 0) throw malformed(path, line, 'a $var without a code and a name');
        if (width === '1' && type !== 'real' && codes.size < mostVariables) codes.set(name.join(' '), code);
      }
      section = null;
    }
  }
  if (tickHz === null) throw malformed(path, 1, 'there is no $timescale');
  return { tickHz, codes };
}

function tickHzOf(text: string, path: string, line: number): number {
  const match = /^(1|10|100)(s|ms|us|ns|ps|fs)$/.exec(text);
  if (!match) throw malformed(path, line, `expected a timescale such as 1us, found ${brief(text)}`);
  return units[match[2]!]! / Number(match[1]);
}

async function* changes(path: string, channel: string, code: string | undefined): AsyncGenerator<Edge> {
  const maker = new EdgeMaker(clockId, channel);
  let isInHeader = true;
  let isInComment = false;
  let isVectorValue = false;
  let level: boolean | null = null;
  let time = 0;
  for await (const { word, line } of words(path)) {
    if (isInHeader) {
      isInHeader = word !== '$enddefinitions';
    } else if (isVectorValue) {
      isVectorValue = false;
    } else if (isInComment) {
      isInComment = word !== '$end';
    } else if (word === '$comment') {
      isInComment = true;
    } else if (word.startsWith('#')) {
      const next = Number(word.slice(1));
      if (!/^#\d+$/.test(word) || !Number.isSafeInteger(next)) throw malformed(path, line, `${brief(word)} is no time`);
      if (next < time) throw malformed(path, line, `time goes back from ${time} to ${next}`);
      time = next;
    } else if (/^[bBrR]/.test(word)) {
      isVectorValue = true;
    } else if (/^[01xXzZ]./.test(word)) {
      if (word.slice(1) !== code) continue;
      const now: boolean | null = word[0] === '1' ? true : word[0] === '0' ? false : null;
      // Only from one known level to the other: what comes out of x or z is a first level.
      if (now !== null && level !== null && now !== level) yield maker.edge(time, now ? 'rise' : 'fall', null);
      level = now;
    } else if (!word.startsWith('$')) {
      throw malformed(path, line, `${brief(word)} is neither a time nor a change`);
    }
  }
}

function brief(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}

function malformed(path: string, line: number, problem: string): FormatError {
  return new FormatError('vcd.malformed', {
    where: `${path} line ${line}`,
    problem,
    remedy: 'export the recording again as VCD',
  });
}
