import { defaultQemuTools, missingQemuTools } from '../../src/dut/qemu/toolchain.ts';

const missing = await missingQemuTools(defaultQemuTools());

/** Why the QEMU DUT cannot be built and run here, or null where it can. */
export const noQemu: string | null = missing.length === 0 ? null : `there is no ${missing.join(', no ')}`;

if (noQemu !== null) console.warn(`Tests of the DUT in QEMU are skipped: ${noQemu}.`);
