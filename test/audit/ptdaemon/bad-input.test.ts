import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { fuzz } from '../../support/fuzz.ts';
import { auditPower, madeRun, writeRun } from '../../support/power-run.ts';

const root = mkdtempSync(join(tmpdir(), 'joulemark-power-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let counter = 0;
const fresh = () => join(root, `run${counter++}`);

const hashed = [
  'run_1/spl.txt',
  'run_1/mlperf_log_detail.txt',
  'run_1/mlperf_log_summary.txt',
  'ranging/spl.txt',
  'ranging/mlperf_log_detail.txt',
  'power/ptd_logs.txt',
];
const names = [...hashed, 'power/client.json', 'power/server.json'];

describe('bad input', () => {
  it.each(names)('binary rubbish named %s becomes a finding and ends nothing', async (name) => {
    const folder = writeRun(fresh(), madeRun());
    writeFileSync(join(folder, name), Buffer.from(Array.from({ length: 70_000 }, (_, k) => (k * k * 31) & 255)));
    const [audited] = await auditPower(folder);
    expect(audited?.findings.some((f) => f.severity === 'error')).toBe(true);
  });

  it.each(names)('an empty %s becomes a finding', async (name) => {
    const folder = writeRun(fresh(), madeRun());
    writeFileSync(join(folder, name), '');
    const [audited] = await auditPower(folder);
    expect(audited?.findings.some((f) => f.severity === 'error')).toBe(true);
  });

  it('a folder in the place of a file is unreadable or missing', async () => {
    const folder = writeRun(fresh(), madeRun());
    for (const name of ['run_1/mlperf_log_detail.txt', 'power/server.json']) {
      rmSync(join(folder, name));
      mkdirSync(join(folder, name));
    }
    const [audited] = await auditPower(folder);
    expect(audited?.claim.verdict).toBe('unverifiable');
  });

  it('a depth bomb and a lone surrogate in a record are refused or read, never fatal', async () => {
    const folder = writeRun(fresh(), madeRun());
    writeFileSync(join(folder, 'power/client.json'), '['.repeat(1_000_000));
    writeFileSync(
      join(folder, 'power/server.json'),
      `{"session_name":"\\ud800<script>","ptd_messages":[[[[1]]]],"phases":7}`,
    );
    const [audited] = await auditPower(folder);
    expect(audited?.codes).toContain('power.session-unreadable');
    expect(audited?.codes).toContain('power.session-incomplete');
    expect(audited?.findings.find((f) => f.code === 'power.session-unreadable')?.message).toMatch(/64 levels/);
  });

  it('lines of a megabyte and NUL bytes are survived and counted', async () => {
    const long = (files: Map<string, string>) => {
      for (const name of hashed) files.set(name, `${'x'.repeat(1_000_000)}\n${files.get(name)}\0\0\n`);
    };
    const [audited] = await auditPower(writeRun(fresh(), madeRun({ beforeHash: long })));
    expect(audited?.codes).toEqual(['power.log-garbled']);
    expect(audited?.findings[0]?.evidence).toMatchObject({ lines: 2, first: [1, expect.any(Number)] });
    expect(audited?.claim.recomputed.meanPower_W).toBeGreaterThan(199);
  });

  it.skipIf(process.platform === 'win32')('a socket in the place of a file is left out', async () => {
    const folder = writeRun(fresh(), madeRun());
    const path = join(folder, 'power/client.log');
    rmSync(path);
    const server = createServer().listen(path);
    await once(server, 'listening');
    const [audited] = await auditPower(folder);
    server.close();
    expect(audited?.codes).toContain('power.files-missing');
  });

  it('numbers beyond all measure stay numbers or become null', async () => {
    const wild = (files: Map<string, string>) => {
      const lines = (files.get('run_1/spl.txt') as string).split('\n');
      const values = ['1e308', '1e308', '-1e308', 'inf', '-inf', 'nan', '1e999', '0x10', '1_000', ''];
      values.forEach((v, k) => {
        lines[100 + k] = (lines[100 + k] as string).replace(/Watts,[\d.]+/, `Watts,${v}`);
      });
      files.set('run_1/spl.txt', lines.join('\n'));
    };
    const [audited] = await auditPower(writeRun(fresh(), madeRun({ beforeHash: wild })));
    expect(audited?.claim.verdict).not.toBe('upheld');
    expect(() => JSON.stringify(audited?.claim)).not.toThrow();
  });

  it('any damage of any file is survived and never passes silently', async () => {
    const folder = fresh();
    const run = madeRun();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat({ max: 2000 }),
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        async (name, where, removed, inserted) => {
          let isSame = false;
          writeRun(folder, {
            ...run,
            afterHash: (files) => {
              const text = files.get(name) as string;
              const at = Math.floor(where * text.length);
              const damaged = text.slice(0, at) + Buffer.from(inserted).toString('latin1') + text.slice(at + removed);
              isSame = damaged.replaceAll('\r\n', '\n') === text.replaceAll('\r\n', '\n');
              files.set(name, damaged);
            },
          });
          const [audited] = await auditPower(folder);
          if (audited === undefined) throw new Error('the claim vanished');
          JSON.stringify(audited);
          if (hashed.includes(name) && !isSame) expect(audited.codes).toContain('power.hash-differs');
        },
      ),
      fuzz(60),
    );
  });
});
