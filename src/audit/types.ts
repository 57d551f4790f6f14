/**
 * The vocabulary of an audit: claims, the three answers, findings, and what a family of claims (an auditor) offers.
 * Figures use the units that their names end in; null is "not known", never 0.
 */

export type Severity = 'error' | 'warning' | 'info';

/** Does the claimed figure follow from the submitted evidence by the published arithmetic? A rounding tie is `exact`. */
export type Arithmetic = 'exact' | 'differs' | 'none';
/** Does the evidence show what the claim says it shows? */
export type Evidence = 'supports' | 'contradicts' | 'incomplete';
/** Were the rules of the round kept? `unknown` lowers no verdict. */
export type Rules = 'met' | 'broken' | 'unknown';
export type Verdict = 'refuted' | 'unverifiable' | 'irregular' | 'upheld';

export interface Answers {
  arithmetic: Arithmetic;
  evidence: Evidence;
  rules: Rules;
}

/** The headline figures that a claim can state. */
export type FigureName =
  | 'energyPerInference_uJ'
  | 'throughput_ips'
  | 'inferencesPerJoule'
  | 'top1_pct'
  | 'auc'
  | 'meanPower_W'
  | 'energyPerQuery_mJ'
  | 'tp'
  | 'fp'
  | 'fn';

export type Figures = Partial<Record<FigureName, number | null>>;

/** Where a claim stands, as far as its path (and, for the benchmark, its content) tells. */
export interface Place {
  /** `v0.5` ... */
  round: string | null;
  /** `closed`, `open`, `network`. */
  division: string | null;
  submitter: string | null;
  system: string | null;
  benchmark: string | null;
}

/** One printed number held against its recomputation. */
export interface Comparison {
  /** Name of the printed field, e.g. `window 2: energy`. */
  field: string;
  /** As printed; null where the source prints none. */
  printed: string | null;
  /** Recomputed, in the same form; null where it cannot be recomputed. */
  recomputed: string | null;
  /** True where they are equal or differ by a rounding tie; null where one of them is missing. */
  exact: boolean | null;
}

/** Windows (trials, printed figures) of a claim: printed, recomputable from evidence, and equal to the printed digit. */
export interface WindowCounts {
  claimed: number;
  recomputable: number;
  exact: number;
}

/** A stretch of the trace that a report can plot. */
export interface Plot {
  title: string;
  x: string;
  y: string;
  /** Reduced to a few hundred points: [x, lowest y, highest y]. */
  points: [number, number, number][];
  /** Windows as claimed and as the evidence implies them. */
  spans: { label: 'claimed' | 'implied'; from: number; to: number }[];
}

export interface Claim extends Place, Answers {
  /** Stable: built from the path relative to the audited root and the mode. */
  id: string;
  /** Family: `tiny-energy`, `tiny-performance`, `tiny-accuracy`, `tiny-wakeword`, `power`, `joulemark`... */
  auditor: string;
  /** As the user can open it. */
  path: string;
  /** `energy`, `performance`, `accuracy`, `power`. */
  mode: string;
  claimed: Figures;
  recomputed: Figures;
  /** What the evidence does support, where that can be told. */
  supported: Figures;
  verdict: Verdict;
  windows: WindowCounts;
  /** The official checker's verdict, where there is one and it was reproduced. */
  officialVerdict?: { pass: boolean; reasons: string[] };
  comparisons: Comparison[];
  /** Further numbers of interest to an auditor (clock slope, offsets, exact rank AUC...). */
  measured: Record<string, unknown>;
  plots?: Plot[];
}

export interface Finding {
  code: string;
  severity: Severity;
  /** Claim id, or null where it belongs to no claim. */
  claim: string | null;
  /** The file or folder that shows it. */
  path: string;
  message: string;
  /** The numbers, names and lines that show it. */
  evidence: Record<string, unknown>;
}

/** One entry of the catalogue of findings. Texts state what the files show; they accuse nobody. */
export interface FindingEntry {
  severity: Severity;
  /** The answer that this finding decides, and what it makes of it; null where it decides none. */
  decides:
    | { answer: 'arithmetic'; is: 'differs' | 'none' }
    | { answer: 'evidence'; is: 'contradicts' | 'incomplete' }
    | { answer: 'rules'; is: 'broken' | 'unknown' }
    | null;
  title: string;
  explanation: string;
  /** The rule or the fact behind it. */
  rule: string;
  /** Where the rule can be read, or how the fact was measured. */
  source: string;
  /** What the finding's evidence shows. */
  shows: string;
  /** What a submitter can say to it. */
  reply: string;
}

/** What an auditor reports about one claim; `finish` (verdict.ts) adds id, verdict and answers. */
export type ClaimDraft = Omit<Claim, 'verdict' | keyof Answers>;

/** A finding before it is tied to a claim; its severity comes from the catalogue. */
export interface Observation {
  code: string;
  path: string;
  message: string;
  evidence?: Record<string, unknown>;
}

/** Regular file of a folder. */
export interface FileEntry {
  name: string;
  size_bytes: number;
}

/** A folder of an audited tree. Symbolic links, special files and AppleDouble files are already left out. */
export interface Folder {
  /** As the user can open it. */
  path: string;
  /** Relative to the audited root, `/` between names, '' for the root itself. */
  relative: string;
  files: FileEntry[];
  /** Names of the folders inside. */
  folders: string[];
  /** First bytes of a file as Latin-1 text, cached; null where it cannot be read. */
  head(name: string): Promise<string | null>;
  /** A folder inside, or null where there is none or it cannot be read. */
  sub(name: string): Promise<Folder | null>;
}

/** A claim that was found and is still to be audited. Plain data: it can be sent to a worker thread. */
export interface ClaimSite {
  id: string;
  auditor: string;
  path: string;
  relative: string;
  place: Place;
  mode: string;
  /** What the auditor wants to remember, e.g. which file plays which part. */
  files: Record<string, string>;
}

/** What an audit is given beside the claim. */
export interface AuditOptions {
  /** Folder with the ground truth files, or null. */
  labels: string | null;
  /** Public keys (PEM) whose signatures on run folders are trusted. */
  trustedKeys?: readonly string[];
}

export interface AuditedClaim {
  draft: ClaimDraft;
  observations: Observation[];
  /** Small facts that `relate` compares over all claims (trace hash, throughput...). */
  facts: Record<string, string | number | null>;
}

/** A family of claims. */
export interface ClaimAuditor {
  id: string;
  /** A folder that this family claims is not shown to the families after it. */
  exclusive?: boolean;
  /**
   * Claims whose evidence this folder holds, told by content. `place` is what the path tells. Called once for every
   * folder of the tree; a folder claimed here is still walked further. Never throws for bad input.
   */
  find(folder: Folder, place: Place): Promise<Omit<ClaimSite, 'id' | 'auditor'>[]>;
  /** Audits one claim. Expected failures become observations; a JoulemarkError thrown becomes one too. */
  audit(site: ClaimSite, options: AuditOptions): Promise<AuditedClaim>;
}
