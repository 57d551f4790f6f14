/** One contribution to an uncertainty budget (specs: GUM, JCGM 100). */
export interface UncertaintyComponent {
  id: string;
  /** Standard uncertainty in the unit of the quantity; null where the contribution exists but its size is not known. */
  u: number | null;
  distribution: 'normal' | 'rectangular' | 'triangular' | 'student-t';
  /** Degrees of freedom; null for infinite. */
  nu: number | null;
  /** What shares the same error. */
  scope: 'sample' | 'window' | 'run' | 'session' | 'rig' | 'instrument';
  /** Where the number comes from: a certificate id, `data sheet`, `type A`, `assumption`. */
  provenance: string;
}

/** Expanded uncertainty: the value lies within +/- U with 95 % coverage, U = k * u. */
export interface Coverage {
  U: number;
  k: number;
  nu: number | null;
}

/** A reported number. `u` is null while unknown, never 0. */
export interface Quantity {
  value: number | null;
  unit: string;
  u: number | null;
  coverage: Coverage | null;
  /** Method id with its version. */
  method: string;
  n: number;
  components: UncertaintyComponent[] | null;
  /** False until every instrument that it depends on has a calibration record in force. */
  calibrated: boolean;
}

/** A quantity whose uncertainty has not been evaluated. */
export function quantity(value: number | null, unit: string, method: string, n: number): Quantity {
  return { value, unit, u: null, coverage: null, method, n, components: null, calibrated: false };
}
