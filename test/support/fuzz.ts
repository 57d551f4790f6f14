import fc, { type Parameters } from 'fast-check';

const asked = process.env.JOULEMARK_FUZZ === undefined ? null : Number(process.env.JOULEMARK_FUZZ);

// Properties that name no number of their own.
if (asked !== null) fc.configureGlobal({ numRuns: asked });

/** So many cases, or as many as the environment variable JOULEMARK_FUZZ asks for. */
export function fuzz<Values = unknown>(numRuns: number): Parameters<Values> {
  return { numRuns: asked ?? numRuns };
}
