import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { block, capture, edge, withTempFolder } from './support.ts';

const python = process.env.JOULEMARK_PYTHON ?? 'python3';
const hasReaders = spawnSync(python, ['-c', 'import pyarrow, polars']).status === 0;

const script = `
import json, sys
import pyarrow as pa
import polars as pl
folder = sys.argv[1]
found = {}
with pa.ipc.open_stream(folder + '/samples-main.arrow') as reader:
    batches = list(reader.iter_batches_with_custom_metadata())
    for batch, _ in batches:
        batch.validate(full=True)
    found['firstTicks'] = [int(metadata[b'firstTick']) for _, metadata in batches]
    found['current'] = [value for batch, _ in batches for value in batch['current'].to_pylist()]
with pa.ipc.open_stream(folder + '/edges.arrow') as reader:
    found['edges'] = reader.read_all().to_pylist()
found['segments'] = pl.read_ipc_stream(folder + '/segments.arrow').rows()
found['polars'] = pl.read_ipc_stream(folder + '/samples-main.arrow')['voltage'].to_list()
print(json.dumps(found))
`;

describe.skipIf(!hasReaders)('pyarrow and polars', () => {
  it('read the Arrow files of a run folder as they are', () =>
    withTempFolder((temp) => {
      const folder = join(temp, 'run');
      const blocks = [block(0, 10), block(20, 10), block(60, 5)];
      capture(folder, [
        blocks[0]!,
        blocks[1]!,
        { kind: 'gap', stream: 'main', firstTick: 40, count: 10, cause: 'dropped' },
        blocks[2]!,
        { kind: 'edges', edges: [edge(1.5, 0), edge(3, 1, { u_ticks: null, channel: 'é' })] },
      ]).finish();
      const { status, stdout, stderr } = spawnSync(python, ['-c', script, folder], { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      const found = JSON.parse(stdout);
      expect(found.firstTicks).toEqual([0, 60]);
      expect(found.current).toEqual(blocks.flatMap(({ current }) => [...current!]));
      expect(found.polars).toEqual(blocks.flatMap(({ voltage }) => [...voltage!]));
      expect(found.edges).toEqual([
        { ...edge(1.5, 0), arrival_ns: null },
        { ...edge(3, 1, { u_ticks: null, channel: 'é' }), arrival_ns: null },
      ]);
      expect(found.segments).toEqual([
        ['main', 'segment', 0, 0, 2, null, null],
        ['main', 'gap', 20, 40, null, 10, 'dropped'],
        ['main', 'segment', 20, 60, 2, null, null],
      ]);
    }));
});
