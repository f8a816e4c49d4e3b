/** Logical unit numbers, as the first two bytes of their 8-byte form have them: SAM-5 section 4.7. */

/** The REPORT LUNS well-known unit: extended addressing, well-known, 01h. */
export const REPORT_LUNS_UNIT = 0xc101;
