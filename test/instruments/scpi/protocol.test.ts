import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blockOf,
  floatAt,
  parseScpiError,
  parseScpiNumber,
  ScpiResponses,
  ScpiSyntaxError,
} from '../../../src/instruments/scpi/protocol.ts';
import { ScpiSession, streamLink } from '../../../src/instruments/scpi/session.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { fuzz } from '../../support/fuzz.ts';
import { randomBelow } from '../../support/random.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
const text = (answer: Uint8Array) => Buffer.from(answer).toString('latin1');

describe('SCPI answers', () => {
  it('are never split at a line feed inside a block', () => {
    const stream = bytes('1.5\n#15a\nb\nc\n+0,"No error"\n7;#13\n\n\n;8\n');
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (cuts) => {
        const responses = new ScpiResponses();
        const answers: string[] = [];
        for (let at = 0, k = 0; at < stream.length; k++) {
          const n = cuts[k % cuts.length]!;
          answers.push(...responses.push(stream.subarray(at, at + n)).map(text));
          at += n;
        }
        expect(answers).toEqual(['1.5', '#15a\nb\nc', '+0,"No error"', '7;#13\n\n\n;8']);
      }),
      fuzz(200),
    );
  });

  it('hold blocks of any bytes', () => {
    expect([...blockOf(bytes('#213abcdefghijklm'))!]).toEqual([...bytes('abcdefghijklm')]);
    expect([...blockOf(bytes('#10'))!]).toEqual([]);
    for (const bad of ['', 'abc', '#', '#0abc', '#19abc', '#2x1ab', '#9']) expect(blockOf(bytes(bad))).toBeNull();
  });

  it('of a block of an absurd length are refused at once', () => {
    expect(() => new ScpiResponses().push(bytes('#9999999999'))).toThrow(ScpiSyntaxError);
  });

  it('take a number sign elsewhere for text', () => {
    expect(new ScpiResponses().push(bytes('a#19\n"#5"\n')).map(text)).toEqual(['a#19', '"#5"']);
  });

  it.each([
    ['103.79E+00', 103.79],
    [' -4.98748741E-01', -0.498748741],
    ['NAN', Number.NaN],
    ['INF', Number.POSITIVE_INFINITY],
    ['-INF', Number.NEGATIVE_INFINITY],
    ['+9.90000000E+37', Number.POSITIVE_INFINITY],
    ['-9.90000000E+37', Number.NEGATIVE_INFINITY],
    ['9.91E37', Number.NaN],
    ['9.910000E+037', Number.NaN],
    ['', null],
    ['0x10', null],
    ['1,5', null],
    ['INFLATION', null],
  ])('%s is %s', (answer, value) => {
    expect(parseScpiNumber(answer)).toBe(value);
  });

  it.each([
    [0x7e951bee, Number.NaN],
    [0x7e94f56a, Number.POSITIVE_INFINITY],
    [0x7fc00000, Number.NaN],
    [0x7f800000, Number.POSITIVE_INFINITY],
    [0x3fc00000, 1.5],
  ])('the float %x is %d', (bits, value) => {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, bits);
    expect(floatAt(view, 0)).toBe(value);
  });

  it.each([
    ['+0,"No error"', { code: 0, text: 'No error' }],
    ['-113,"Undefined header"', { code: -113, text: 'Undefined header' }],
    ['813,Invalid operation', { code: 813, text: 'Invalid operation' }],
    ['what', null],
  ])('%s is an error of the queue', (answer, error) => {
    expect(parseScpiError(answer)).toEqual(error);
  });

  it('of any bytes end every query with an answer or a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), async (chunks) => {
        const time = new VirtualTime();
        const [host, device] = memoryPair('fuzz');
        const session = new ScpiSession(streamLink(host, time));
        for (const chunk of chunks) await device.write(chunk);
        const asks = [() => session.askNumber('A?'), () => session.askBlock('B?'), () => session.takeErrors()];
        for (const ask of asks) {
          await time.run<unknown>(ask()).catch((error) => expect(error.code).toMatch(/^device\./));
        }
      }),
      fuzz(300),
    );
  });

  it('of a million damaged frames are survived', () => {
    const pristine = bytes('103.79E+00,NAN,INF\n#240abcdefghijklmnopqrstuvwxyzabcdefghijklmn\n+0,"No error"\n');
    const random = randomBelow(7);
    let answers = 0;
    for (let round = 0; round < 333_334; round++) {
      const damaged = pristine.slice();
      for (let k = 0; k < 2; k++) damaged[random(damaged.length)] = random(256);
      const responses = new ScpiResponses();
      try {
        for (const answer of responses.push(damaged)) {
          answers++;
          blockOf(answer);
        }
      } catch (error) {
        if (!(error instanceof ScpiSyntaxError)) throw error;
      }
    }
    expect(answers).toBeGreaterThan(500_000);
  });
});
