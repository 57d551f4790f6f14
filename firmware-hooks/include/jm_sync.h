/*
 * The coded sync pattern: a maximum-length sequence (m-sequence) of chips, sent on a line or drawn as current. Its
 * periodic autocorrelation has one peak, so a recording of it has one place where it fits.
 *
 * Polynomials (primitive over GF(2)): order 7 x^7+x^6+1 (127 chips), 9 x^9+x^5+1 (511), 10 x^10+x^7+1 (1023),
 * 11 x^11+x^9+1 (2047). All bits of the register are 1 at the start; the chip is its last bit.
 */
#ifndef JM_SYNC_H
#define JM_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint32_t bits;
    uint32_t last;  /* bit number of the last stage */
    uint32_t inner; /* bit number of the other tapped stage */
} jm_sync_t;

/* Number of chips, 2^order - 1; 0 for an order that is not supported. */
uint32_t jm_sync_length(uint32_t order);

/* False for an order that is not supported. */
bool jm_sync_init(jm_sync_t *sync, uint32_t order);

/* The next chip; takes the same time for each. */
bool jm_sync_next(jm_sync_t *sync);

/*
 * Sends one pattern on the trigger line (high = 1) in chips of `chip_us`, then leaves the line as `idle_high` says.
 * `load`, if not NULL, is called at each chip and may switch a load, for instruments without a pin. False for an order
 * that is not supported.
 */
bool jm_sync_send(uint32_t order, uint32_t chip_us, bool idle_high, void (*load)(bool is_on));

#ifdef __cplusplus
}
#endif

#endif
