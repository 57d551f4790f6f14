import { describe, expect, it } from 'vitest';
import { compare, countWindows, decimalsOf, roundingOf } from '../../src/audit/compare.ts';
import { answersOf, verdictOf } from '../../src/audit/verdict.ts';

const print = (text: string) => ({ text, value: Number(text) });

describe('printed digits', () => {
  it('are counted behind the point, exponents included', () => {
    expect(['7019.085', '12', '1.50', '1e-3', '2.5e2', '10.886000000000001'].map(decimalsOf)).toEqual([
      3, 0, 2, 3, 0, 15,
    ]);
    expect(roundingOf('0.99')).toBeCloseTo(0.005, 12);
  });

  it('are equal where the recomputed figure prints the same', () => {
    expect(compare('x', print('7019.085'), 7019.085481948852).exact).toBe(true);
    expect(compare('x', print('7019.085'), 7019.0856).exact).toBe(false);
    expect(compare('x', print('10.886000000000001'), 15.043 - 4.157).exact).toBe(true);
  });

  it('count a rounding tie as equal: 160.4265 printed as 160.426', () => {
    expect(compare('x', print('160.426'), 160.4265).exact).toBe(true);
    expect(compare('x', print('160.426'), 160.4265 + 3e-14).exact).toBe(true);
    expect(compare('x', print('160.426'), 160.42651).exact).toBe(false);
  });

  it('are neither equal nor different where one side is missing', () => {
    expect(compare('x', null, 1).exact).toBeNull();
    expect(compare('x', print('1.0'), null).exact).toBeNull();
    expect(compare('x', print('1.0'), Number.NaN).exact).toBeNull();
  });

  it('make a window exact only where every printed field is', () => {
    const good = compare('x', print('1.0'), 1);
    const bad = compare('x', print('1.0'), 2);
    const unknown = compare('x', print('1.0'), null);
    expect(countWindows([[good, good], [good, bad], [good, unknown], []])).toEqual({
      claimed: 3,
      recomputable: 2,
      exact: 1,
    });
  });
});

describe('the verdict', () => {
  it('is the first that applies of refuted, unverifiable, irregular, upheld', () => {
    const answers = { arithmetic: 'exact', evidence: 'supports', rules: 'met' } as const;
    expect(verdictOf(answers)).toBe('upheld');
    expect(verdictOf({ ...answers, rules: 'unknown' })).toBe('upheld');
    expect(verdictOf({ ...answers, rules: 'broken' })).toBe('irregular');
    expect(verdictOf({ ...answers, rules: 'broken', evidence: 'incomplete' })).toBe('unverifiable');
    expect(verdictOf({ ...answers, arithmetic: 'none' })).toBe('unverifiable');
    expect(verdictOf({ ...answers, arithmetic: 'none', evidence: 'contradicts' })).toBe('refuted');
    expect(verdictOf({ arithmetic: 'differs', evidence: 'incomplete', rules: 'broken' })).toBe('refuted');
  });

  it('rests on findings: each answer is the worst that any of them makes of it', () => {
    expect(answersOf([])).toEqual({ arithmetic: 'exact', evidence: 'supports', rules: 'met' });
    expect(answersOf(['trace.length', 'windows.gap', 'rules.unknown', 'window.too-short', 'arithmetic.none'])).toEqual({
      arithmetic: 'none',
      evidence: 'contradicts',
      rules: 'broken',
    });
  });

  it('knows no code that is not in the catalogue', () => {
    expect(() => answersOf(['no.such-code'])).toThrow(/catalogue/);
    expect(() => answersOf(['toString'])).toThrow(/catalogue/);
  });
});
