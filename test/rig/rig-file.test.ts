import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultRigText, parseRig, readRigFile, rigJsonSchema } from '../../src/rig/rig-file.ts';
import { JoulemarkError, UsageError } from '../../src/signal/errors.ts';
import { fuzz } from '../support/fuzz.ts';

function failure(text: string): UsageError {
  try {
    parseRig(text, 'rig.yaml');
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error('this rig file was expected to be refused');
}

describe('the rig file', () => {
  it('has a built-in default: the virtual rig running kws01', () => {
    const rig = parseRig(defaultRigText, 'built-in');
    expect(rig.profile).toBe('kws01');
    expect(rig.instrument).toEqual({ family: 'virtual', connection: 'emulated', settings: { rate_Hz: 20_000 } });
    expect(rig.dut.connection).toBe('emulated');
    expect(rig.supply).toEqual({ voltage_V: 3, max_voltage_V: 3.6, current_limit_A: null });
    expect(rig.faults).toEqual([]);
  });

  it('names the line and the nearest known key of an unknown one', () => {
    const error = failure('version: 1\ninstrument:\n  # a comment\n  familly: ppk2\n');
    expect(error.code).toBe('rig.unknown-key');
    expect(error.where).toBe('rig.yaml:4');
    expect(error.message).toContain('unknown key `familly` in `instrument`');
    expect(error.message).toContain('nearest known one is `family`');
    expect(error.remedy).toContain('family, connection, settings');
  });

  it('names unknown keys at the top and in the settings of the virtual instrument too', () => {
    expect(failure('version: 1\nslicng: auto\n').message).toContain('`slicing`');
    const error = failure('version: 1\ninstrument:\n  settings:\n    rate_hz: 1000\n');
    expect(error.where).toBe('rig.yaml:4');
    expect(error.message).toContain('`rate_Hz`');
  });

  it('names the line of a value that is wrong, the first in the file first', () => {
    const error = failure('version: 1\nseed: -3\ndut:\n  error_rate: 2\n');
    expect(error.where).toBe('rig.yaml:2');
    expect(error.message).toContain('`seed`');
    expect(failure('version: 1\nfaults:\n  - bounce\n  - gremlins\n').where).toBe('rig.yaml:4');
    expect(failure('version: 2\n').where).toBe('rig.yaml:1');
    expect(failure('').message).toContain('`version`');
  });

  it('says what is wrong with a value that may have several forms', () => {
    const { message } = failure('version: 1\ntrigger:\n  sync: {order: 8}\n');
    expect(message).toContain('`trigger.sync.order`');
    expect(message).toContain('7');
  });

  it('names the line of a YAML error', () => {
    const error = failure('version: 1\ndut: {name: x\nseed: 2\n');
    expect(error.code).toBe('rig.syntax');
    expect(error.where).toMatch(/^rig\.yaml:[234]$/);
    expect(failure('version: 1\nseed: 1\nseed: 2\n').where).toBe('rig.yaml:3');
  });

  const real = 'version: 1\ninstrument: {family: ppk2}\ndut: {name: board, connection: /dev/ttyACM1}\n';

  it('gives a real supply no default voltage', () => {
    expect(parseRig(real, 'rig.yaml').supply).toBeNull();
    const error = failure(`${real}supply:\n  max_voltage_V: 3.6\n`);
    expect(error.code).toBe('rig.supply');
    expect(error.where).toBe('rig.yaml:4');
    expect(error.message).toContain('no default voltage');
    expect(failure(`${real}supply:\n  voltage_V: 3\n`).remedy).toContain('max_voltage_V');
  });

  it('refuses a voltage above max_voltage_V, real or emulated', () => {
    const supply = 'supply:\n  max_voltage_V: 3.6\n  voltage_V: 5\n';
    for (const text of [`${real}${supply}`, `version: 1\n${supply}`]) {
      const error = failure(text);
      expect(error.code).toBe('rig.supply');
      expect(error.message).toContain('5 V is above max_voltage_V, which is 3.6 V');
    }
    expect(failure(`${real}${supply}`).where).toBe('rig.yaml:6');
  });

  it('knows what belongs to the virtual instrument alone', () => {
    expect(failure(`${real}faults: [bounce]\n`).message).toContain('only the virtual instrument');
    expect(failure('version: 1\ninstrument: {connection: /dev/ttyACM0}\n').message).toContain('always emulated');
    const emulated = parseRig('version: 1\ninstrument: {family: ppk2, connection: emulated}\n', 'rig.yaml');
    expect(emulated.supply?.voltage_V).toBe(3);
    expect(emulated.dut.connection).toBe('emulated');
  });

  it('takes edges from elsewhere than the instrument only where something else sees them', () => {
    const recorded = 'trigger:\n  source: recording\n  file: edges.vcd\n';
    expect(parseRig(`${real}${recorded}`, 'rig.yaml').trigger).toMatchObject({ file: 'edges.vcd', wait_s: 60 });
    for (const dut of ['', 'dut: {connection: qemu}\n']) {
      const error = failure(`version: 1\n${dut}${recorded}`);
      expect(error.code).toBe('rig.trigger');
      expect(error.where).toBe(`rig.yaml:${dut === '' ? 3 : 4}`);
    }
  });

  it('refuses keys that nothing in this rig would heed', () => {
    for (const key of ['via: io-manager', 'baud: 9600', 'inputs: here', 'inferences: 5']) {
      const error = failure(`version: 1\ndut:\n  ${key}\n`);
      expect(error.code).toBe('rig.invalid');
      expect(error.where).toBe('rig.yaml:3');
      expect(error.message).toContain('the virtual DUT has none');
      expect(parseRig(`version: 1\ndut: {connection: pty, ${key}}\n`, 'rig.yaml').dut.connection).toBe('pty');
    }
    expect(failure('version: 1\ntrigger:\n  gpio: {chip: gpiochip0, line: 3}\n').where).toBe('rig.yaml:3');
    const unmeasured = failure('version: 1\ndut: {connection: pty, mode: accuracy}\ntrigger:\n  sync: pattern\n');
    expect(unmeasured.where).toBe('rig.yaml:4');
    expect(unmeasured.message).toContain('no samples');
    expect(failure('version: 1\ndut: {connection: pty}\ntrigger: {source: cts, file: a.vcd}\n').code).toBe(
      'rig.trigger',
    );
  });

  it('wants the name of a real DUT, and keeps it as it is', () => {
    expect(failure('version: 1\ndut: {connection: /dev/ttyACM1}\n').message).toContain('no default name');
    expect(parseRig('version: 1\ndut: {name: "<script>"}\n', 'rig.yaml').dut.name).toBe('<script>');
    expect(failure('version: 1\ndut: {name: "two\\nlines"}\n').message).toContain('control characters');
    expect(failure('version: 1\ndut: {name: ""}\n').message).toContain('`dut.name`');
  });

  it('names an instrument family or a profile that does not exist, and those that do', () => {
    for (const name of ['nope', 'constructor', '__proto__']) {
      const family = failure(`version: 1\nseed: 2\ninstrument:\n  family: ${name}\n`);
      expect([family.code, family.where]).toEqual(['rig.instrument', 'rig.yaml:4']);
      expect(family.remedy).toMatch(/virtual, .*ppk2/);
      const profile = failure(`version: 1\nprofile: ${name}\n`);
      expect([profile.code, profile.where]).toEqual(['rig.profile', 'rig.yaml:2']);
      expect(profile.remedy).toMatch(/kws01.*per-inference/);
    }
  });

  it('wants a version, and a voltage that a supply can have', () => {
    expect(failure('seed: 1\n').message).toContain('`version`: must be 1');
    expect(failure('version: 1\nsupply: {voltage_V: 1.0e+308}\n').where).toBe('rig.yaml:2');
  });

  it('survives YAML that is hostile', () => {
    expect(failure(`version: 1\nseed: ${'['.repeat(60_000)}`).code).toBe('rig.syntax');
    expect(failure(`a: &a [1,1,1,1,1,1,1,1,1]\n${billionLaughs()}`)).toBeInstanceOf(UsageError);
    expect(failure('x'.repeat(70_000)).message).toContain('too many');
    expect(failure('version: 1\n__proto__: {family: x}\n').code).toBe('rig.unknown-key');
    expect(failure('[1, 2]').code).toBe('rig.invalid');
    expect(failure('version: 1\n---\nversion: 1\n').code).toBe('rig.syntax');
  });

  it('answers any text with a rig or with a clear error', () => {
    const words = fc.constantFrom(
      ...[
        'version: 1',
        'seed',
        ':',
        ' ',
        '\n',
        '  ',
        '- ',
        'dut',
        'name',
        '[',
        ']',
        '{',
        '}',
        '&a ',
        '*a',
        '!!binary ',
        '<<',
        '1e999',
        '~',
        '"',
        '?',
        '|',
        '#',
        '%YAML 1.1\n',
        '\u0000',
        'supply',
        'voltage_V',
      ],
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(words, { maxLength: 30 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (content) => {
        try {
          parseRig(content, 'rig.yaml');
        } catch (error) {
          expect(error).toBeInstanceOf(JoulemarkError);
          expect((error as JoulemarkError).remedy).not.toBe('');
        }
      }),
      fuzz(2000),
    );
  });

  it('is read from disk, and a missing one is named', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'joulemark-rig-'));
    try {
      const path = join(folder, 'rig.yaml');
      await writeFile(path, 'version: 1\nprofile: ic01\n');
      expect((await readRigFile(path)).rig.profile).toBe('ic01');
      await expect(readRigFile(join(folder, 'other.yaml'))).rejects.toMatchObject({
        code: 'rig.unreadable',
        where: join(folder, 'other.yaml'),
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('has its JSON Schema in docs, up to date (npm run schema writes it)', () => {
    const written = readFileSync(new URL('../../docs/rig.schema.json', import.meta.url), 'utf8');
    expect(written).toBe(`${JSON.stringify(rigJsonSchema(), null, 2)}\n`);
  });

  it('has every key described in docs/rig-file.md, and the examples there are valid', () => {
    const page = readFileSync(new URL('../../docs/rig-file.md', import.meta.url), 'utf8');
    const keysOf = (node: { properties?: Record<string, object> }): string[] =>
      Object.entries(node.properties ?? {}).flatMap(([key, value]) => [key, ...keysOf(value)]);
    for (const key of keysOf(rigJsonSchema())) expect(page).toContain(`\`${key}\``);
    const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1]);
    expect(examples.length).toBeGreaterThan(1);
    for (const example of examples) expect(() => parseRig(example, 'docs/rig-file.md')).not.toThrow();
  });
});

function billionLaughs(): string {
  const letters = 'abcdefghij';
  return [...letters.slice(1)]
    .map((letter, k) => `${letter}: &${letter} [${Array(9).fill(`*${letters[k]}`).join(',')}]`)
    .join('\n');
}
