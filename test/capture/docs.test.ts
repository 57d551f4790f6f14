import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Column, edgeColumns, sampleColumns, segmentColumns } from '../../src/capture/columns.ts';
import { captureFiles } from '../../src/capture/run-header.ts';
import { mainStream, polledStream } from './support.ts';

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'run-folder.md'), 'utf8');

/** [name, type] of each row of the first table below a heading. */
function tableBelow(heading: string): string[][] {
  const lines = page.slice(page.indexOf(heading)).split('\n');
  const start = lines.findIndex((line) => line.startsWith('| ---') || line.startsWith('| :--'));
  const rows = lines.slice(start + 1);
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith('|')),
    )
    .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')));
}

const typeName = ({ type, nullable }: Column) =>
  `${{ f32: 'float32', f64: 'float64', u8: 'uint8', utf8: 'utf8' }[type]}${nullable ? ' nullable' : ''}`;

describe('docs/run-folder.md', () => {
  it.each([
    ['### `segments.arrow`', segmentColumns],
    ['### `edges.arrow`', edgeColumns],
  ])('lists the columns below %s', (heading, columns) => {
    const rows = tableBelow(heading).map(([, name, type]) => [name, type]);
    expect(rows).toEqual(columns.map((column) => [column.name, typeName(column)]));
  });

  it('names every column of samples and every file', () => {
    const names = tableBelow('### `samples-<stream>.arrow`').flatMap(([, cell]) => cell!.split(', '));
    const columns = [mainStream, polledStream].flatMap(sampleColumns).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(columns));
    for (const name of Object.values(captureFiles)) expect(page).toContain(`\`${name}\``);
  });
});
