import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { placeOf } from '../../src/audit/place.ts';
import { powerAuditor } from '../../src/audit/ptdaemon/auditor.ts';
import type { Claim, Finding } from '../../src/audit/types.ts';
import { finish } from '../../src/audit/verdict.ts';
import { walk } from '../../src/audit/walk.ts';
import { formatPtdTime } from '../../src/capture/formats/ptdaemon/time.ts';

type Mode = 'ranging' | 'testing';

/** One power sample of a made-up run: seconds after the measurement began, watts, and columns behind the mark. */
export interface MadeSample {
  t_s: number;
  watts: number;
  more?: string;
}

/** A made-up PTDaemon run. Everything agrees with everything else until a test changes it. */
export interface MadeRun {
  session: string;
  /** UTC of the beginning of ranging. */
  start_s: number;
  zone_s: number;
  /** Added to the times that loadgen and PTDaemon write. */
  written_s: number;
  loadgenVersion: string;
  scenario: string;
  duration_s: number;
  queries: number;
  samples: Record<Mode, MadeSample[]>;
  /** Extra lines of ptd_logs.txt: seconds after testing began (negative: after ranging began), text. */
  daemonLines: { mode: Mode; t_s: number; text: string }[];
  daemonVersion: string;
  /** Changes of the records before they are written. */
  client: (record: Record<string, unknown>) => void;
  server: (record: Record<string, unknown>) => void;
  /** Changes of the texts before they are hashed, and after. */
  beforeHash: (files: Map<string, string>) => void;
  afterHash: (files: Map<string, string>) => void;
}

/** Seconds of idle before and after the load, as in real sessions. */
const LEAD_S = 12;
const SESSION = '2022-07-27_02-31-09';
const CLIENT = '6fa4a723-a120-4338-b7d4-41fb09887474';
const SERVER = '7e803e9b-4abb-4c88-8d5f-0a2b66d24f5a';

export function madeRun(change: Partial<MadeRun> = {}): MadeRun {
  const duration_s = change.duration_s ?? 610.5;
  return {
    session: SESSION,
    start_s: Date.UTC(2022, 6, 27, 7, 31, 9) / 1000,
    zone_s: 18_000,
    written_s: 0,
    loadgenVersion: '2.1 @ 67eb6a0d0e',
    scenario: 'SingleStream',
    duration_s,
    queries: 80_000,
    samples: { ranging: madeSamples(duration_s, 199), testing: madeSamples(duration_s, 200) },
    daemonLines: [],
    daemonVersion: '1.9.2',
    client: () => {},
    server: () => {},
    beforeHash: () => {},
    afterHash: () => {},
    ...change,
  };
}

/** One sample a second from a quarter second after `Go` until ten seconds after the load. */
export function madeSamples(duration_s: number, watts: number): MadeSample[] {
  return Array.from({ length: Math.floor(duration_s) + 2 * LEAD_S - 2 }, (_, k) => ({
    t_s: k + 0.25,
    // Whole thousandths keep sums of few samples free of rounding; the pattern keeps neighbours apart.
    watts: watts + ((k * 37) % 11) / 8,
  }));
}

/** Index of the first sample inside the test window of a made run. */
export const firstInside = LEAD_S;

/** Writes the run below `folder` and returns the folder. */
export function writeRun(folder: string, run: MadeRun): string {
  const files = new Map<string, string>();
  for (const mode of ['ranging', 'testing'] as const) {
    const name = mode === 'testing' ? 'run_1' : 'ranging';
    files.set(`${name}/spl.txt`, powerLogText(run, mode));
    files.set(`${name}/mlperf_log_detail.txt`, detailText(run, mode));
    files.set(`${name}/mlperf_log_summary.txt`, summaryText(run));
  }
  files.set('power/ptd_logs.txt', daemonText(run));
  files.set('power/client.log', 'client\n');
  files.set('power/server.log', 'server\n');
  run.beforeHash(files);
  const hash = (name: string) => [
    name,
    createHash('sha1')
      .update(files.get(name) ?? '', 'latin1')
      .digest('hex'),
  ];
  const [client, server] = records(run);
  client.results = Object.fromEntries([...files.keys()].filter((n) => /client|mlperf/.test(n)).map(hash));
  server.results = Object.fromEntries([...files.keys()].filter((n) => !/client|mlperf/.test(n)).map(hash));
  run.client(client);
  run.server(server);
  files.set('power/client.json', JSON.stringify(client, null, 4));
  files.set('power/server.json', JSON.stringify(server, null, 4));
  run.afterHash(files);
  for (const [name, text] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text, 'latin1');
  }
  return folder;
}

/** UTC seconds of the beginning of a mode's measurement (`Go`). */
function go_s(run: MadeRun, mode: Mode): number {
  return run.start_s + 30 + (mode === 'testing' ? run.duration_s + 3 * LEAD_S : 0);
}

function written(run: MadeRun, utc_s: number): string {
  return formatPtdTime((utc_s + run.written_s) * 1000);
}

function begin_s(run: MadeRun, mode: Mode): number {
  return go_s(run, mode) + LEAD_S;
}

function powerLogText(run: MadeRun, mode: Mode): string {
  const go = go_s(run, mode);
  return run.samples[mode]
    .map(({ t_s, watts, more }) => {
      const power = Number.isNaN(watts) ? 'nan' : watts.toFixed(6);
      const amps = (watts / 120).toFixed(6);
      const mark = `${run.session}_${mode}`;
      return `Time,${written(run, go + t_s)},Watts,${power},Volts,120.500000,Amps,${amps},PF,0.980000,Mark,${mark}${more ?? ''}\n`;
    })
    .join('');
}

function detailText(run: MadeRun, mode: Mode): string {
  const begin = begin_s(run, mode);
  const qps = run.queries / run.duration_s;
  const offline = run.scenario === 'Offline';
  const values: [string, unknown][] = [
    ['loadgen_version', run.loadgenVersion],
    ['effective_scenario', run.scenario],
    ['effective_samples_per_query', offline ? run.queries : 1],
    ['loaded_qsl_set', Array.from({ length: 200 }, (_, k) => k)],
    ['generated_query_count', offline ? 1 : run.queries * 2],
    ['generated_samples_per_query', offline ? run.queries : run.scenario === 'MultiStream' ? 8 : 1],
    ['power_begin', written(run, begin)],
    ['power_end', written(run, begin + run.duration_s)],
    ['result_validity', 'VALID'],
    ['result_query_count', run.queries],
    ...(offline
      ? ([['result_samples_per_second', qps]] as [string, unknown][])
      : ([['result_qps_with_loadgen_overhead', qps]] as [string, unknown][])),
    ['result_90.00_percentile_latency_ns', 7310721],
  ];
  return values
    .map(([key, value]) => `:::MLLOG ${JSON.stringify({ key, value, time_ms: 1.5 }).replaceAll('":', '": ')}\n`)
    .join('');
}

function summaryText(run: MadeRun): string {
  const rate =
    run.scenario === 'Offline' ? `Samples per second: ${(run.queries / run.duration_s).toPrecision(6)}\n` : '';
  return `MLPerf Results Summary\nScenario : ${run.scenario}\n${rate}90th percentile latency (ns) : 7310721\nResult is : VALID\n`;
}

function daemonText(run: MadeRun): string {
  const lines: [number, string][] = [[run.start_s + 2, 'Uncertainty checking for YokogawaWT330 is activated']];
  for (const mode of ['ranging', 'testing'] as const) {
    const go = go_s(run, mode);
    const samples = run.samples[mode];
    const valid = samples.map((s) => s.watts).filter((w) => w > 0);
    const end = go + (samples.at(-1)?.t_s ?? 0) + 0.5;
    const mean = valid.reduce((a, b) => a + b, 0) / valid.length;
    lines.push([go, `Go with mark '${run.session}_${mode}'`]);
    if (mode === 'ranging') {
      for (const { t_s } of samples) {
        lines.push([go + t_s, "ERROR: Can't evaluate uncertainty of this sample!"]);
        lines.push([go + t_s, 'WARNING: Uncertainty unknown for the last measurement sample! channel 0']);
      }
    }
    for (const extra of run.daemonLines) if (extra.mode === mode) lines.push([go + extra.t_s, extra.text]);
    lines.push([end, 'Completed test']);
    lines.push([
      end,
      `Avg watts ${mean.toFixed(6)}, min watts ${Math.min(...valid).toFixed(6)}, max watts ${Math.max(...valid).toFixed(6)}, samples ${samples.length}, errors ${samples.length - valid.length}, valid ${valid.length}`,
    ]);
  }
  const head = `  Version ${run.daemonVersion}-e8c7a49a-20201208\n...\n`;
  return head + lines.map(([t, text]) => `${written(run, t)}: ${text}\n`).join('');
}

function records(run: MadeRun): [Record<string, unknown>, Record<string, unknown>] {
  const phases = Object.fromEntries(
    (['ranging', 'testing'] as const).map((mode) => {
      const go = go_s(run, mode);
      const stop = begin_s(run, mode) + run.duration_s + 1;
      return [mode, [go - 12, go + 0.1, stop, stop + LEAD_S].map((t, k) => [t, 1000 + k])];
    }),
  );
  const messages = [
    { cmd: 'mlcommons/power client v3', reply: 'mlcommons/power server v3' },
    { cmd: 'time', reply: '1' },
    { cmd: `new,,${CLIENT}`, reply: `OK ${run.session},${SERVER}` },
    { cmd: `session,${run.session},start,ranging`, reply: 'OK' },
    { cmd: `session,${run.session},stop,ranging`, reply: 'OK' },
    { cmd: `session,${run.session},start,testing`, reply: 'OK' },
    { cmd: `session,${run.session},stop,testing`, reply: 'OK' },
  ];
  const shared = () => ({
    version: '1.0',
    timezone: run.zone_s,
    modules: {},
    sources: { 'client.py': 'aa', 'lib/server.py': 'bb' } as Record<string, string>,
    messages: structuredClone(messages),
    uuid: { client: CLIENT, server: SERVER },
    session_name: run.session,
    phases: structuredClone(phases),
  });
  const go = (mode: Mode) => ({
    cmd: `Go,1000,0,${run.session}_${mode}`,
    reply: 'Starting untimed measurement, maximum 500000 samples at 1000ms with 0 rampup samples',
  });
  const server = {
    ...shared(),
    ptd_messages: [
      { cmd: 'Hello', reply: 'Hello, PTDaemon here!' },
      {
        cmd: 'Identify',
        reply: `YokogawaWT330,1000,1,1,1,1,0,0,1,version=${run.daemonVersion}-e8c7a49a-20201208,OS=Linux`,
      },
      { cmd: 'RR', reply: 'Ranges,0,5.000000,0,150.000000' },
      { cmd: 'SR,V,Auto', reply: 'Range V changed' },
      { cmd: 'SR,A,Auto', reply: 'Range A changed' },
      go('ranging'),
      { cmd: 'Stop', reply: 'Stopping untimed measurement' },
      { cmd: 'SR,V,124.640000', reply: 'Range V changed' },
      { cmd: 'SR,A,1.991000', reply: 'Range A changed' },
      go('testing'),
      { cmd: 'Stop', reply: 'Stopping untimed measurement' },
      { cmd: 'Stop', reply: 'Error: no measurement to stop' },
      { cmd: 'SR,V,150.000000', reply: 'Range V changed' },
      { cmd: 'SR,A,5.000000', reply: 'Range A changed' },
    ],
    ptd_config: { command: ['ptd', '52', '/dev/usbtmc0'], device_type: 52, device_port: '/dev/usbtmc0', channel: null },
  };
  return [shared(), server];
}

export interface AuditedRun {
  claim: Claim;
  findings: Finding[];
  codes: string[];
}

/** Audits every power claim below a path, as `auditPaths` does but without threads. */
export async function auditPower(path: string): Promise<AuditedRun[]> {
  const audited: AuditedRun[] = [];
  for await (const item of walk(path)) {
    if (item.kind !== 'folder') continue;
    for (const site of await powerAuditor.find(item.folder, placeOf(item.folder.path))) {
      const id = `${site.relative}#${site.mode}`;
      const { draft, observations } = await powerAuditor.audit({ ...site, id, auditor: 'power' }, { labels: null });
      const { claim, findings } = finish(draft, observations);
      audited.push({ claim, findings, codes: findings.map((f) => f.code).sort() });
    }
  }
  return audited;
}
