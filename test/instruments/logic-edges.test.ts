import { describe, expect, it } from 'vitest';
import { LogicEdges } from '../../src/instruments/logic-edges.ts';
import type { SampleBlock } from '../../src/signal/types.ts';

const block = (firstTick: number, logic: number[]): SampleBlock => ({
  kind: 'block',
  stream: 'main',
  firstTick,
  ticksPerSample: 1,
  length: logic.length,
  logic: Uint8Array.from(logic),
});

describe('edges of logic bits', () => {
  it('lie half a sample before the first sample with the new level', () => {
    const edges = new LogicEdges('c', ['a', 'b']);
    expect(edges.push(block(100, [0, 0, 1, 1, 2]))!.edges.map((e) => [e.tick, e.channel, e.polarity, e.seq])).toEqual([
      [101.5, 'a', 'rise', 0],
      [103.5, 'a', 'fall', 1],
      [103.5, 'b', 'rise', 0],
    ]);
  });

  it('go on from block to block, and the first level is no edge', () => {
    const edges = new LogicEdges('c', ['a']);
    expect(edges.push(block(0, [1, 1]))).toBeNull();
    expect(edges.push(block(2, [0, 0]))!.edges).toMatchObject([{ tick: 1.5, polarity: 'fall' }]);
  });

  it('ignore bits without a name', () => {
    expect(new LogicEdges('c', ['a']).push(block(0, [0, 2, 0]))).toBeNull();
  });

  it('across a gap lie somewhere in it, with that uncertainty', () => {
    const edges = new LogicEdges('c', ['a']);
    edges.push(block(0, [0]));
    edges.gap({ kind: 'gap', stream: 'main', firstTick: 1, count: 9, cause: 'dropped' });
    const [edge] = edges.push(block(10, [1]))!.edges;
    expect(edge).toMatchObject({ tick: 5, polarity: 'rise' });
    expect(edge!.u_ticks).toBeCloseTo(10 / Math.sqrt(12), 12);
    edges.gap({ kind: 'gap', stream: 'main', firstTick: 11, count: null, cause: 'unknown' });
    expect(edges.push(block(50, [0]))!.edges).toMatchObject([{ tick: 50, u_ticks: null }]);
  });
});
