const MAX_FACTS = 500;
const MAX_DEPTH = 8;
const MAX_TEXT = 2000;

/**
 * Nested facts as a flat list of dotted names, in their own order: `{dut: {name: 'x'}}` is `dut.name`. Unknown (null)
 * says so. Lists, depth and texts beyond any honest size are cut, and `cut` says that they were.
 */
export function flattenFacts(facts: Record<string, unknown>): { entries: [string, string][]; cut: boolean } {
  const entries: [string, string][] = [];
  let cut = false;
  const add = (name: string, value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null) {
      entries.push([name, shorten(value === null || value === undefined ? 'unknown' : String(value))]);
      return;
    }
    const isPlainList = Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null);
    if (isPlainList || depth >= MAX_DEPTH) {
      cut ||= !isPlainList;
      entries.push([name, isPlainList ? shorten(value.map((item) => item ?? 'unknown').join(', ') || 'none') : '...']);
      return;
    }
    const inside = Object.entries(value);
    if (inside.length === 0) entries.push([name, 'none']);
    addAll(inside, `${name}.`, depth + 1);
  };
  const addAll = (items: [string, unknown][], prefix: string, depth: number): void => {
    for (const [key, item] of items) {
      if (entries.length >= MAX_FACTS) {
        cut = true;
        return;
      }
      add(prefix + shorten(key), item, depth);
    }
  };
  const shorten = (text: string): string => {
    if (text.length <= MAX_TEXT) return text;
    cut = true;
    return `${text.slice(0, MAX_TEXT)}...`;
  };
  addAll(Object.entries(facts), '', 0);
  return { entries, cut };
}
