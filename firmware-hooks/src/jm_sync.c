#include "jm_sync.h"

#include <stddef.h>

#include "jm_hooks.h"

/* Bit k-1 stands for x^k; the highest one is the order. */
static uint32_t taps_of(uint32_t order)
{
    uint32_t taps = 0u;
    switch (order) {
    case 7u:
        taps = ((uint32_t)1u << 6) | ((uint32_t)1u << 5);
        break;
    case 9u:
        taps = ((uint32_t)1u << 8) | ((uint32_t)1u << 4);
        break;
    case 10u:
        taps = ((uint32_t)1u << 9) | ((uint32_t)1u << 6);
        break;
    case 11u:
        taps = ((uint32_t)1u << 10) | ((uint32_t)1u << 8);
        break;
    default:
        break;
    }
    return taps;
}

uint32_t jm_sync_length(uint32_t order)
{
    return (taps_of(order) == 0u) ? 0u : (((uint32_t)1u << order) - 1u);
}

bool jm_sync_init(jm_sync_t *sync, uint32_t order)
{
    sync->taps = taps_of(order);
    sync->bits = jm_sync_length(order);
    sync->top = (sync->taps == 0u) ? 0u : ((uint32_t)1u << (order - 1u));
    return sync->taps != 0u;
}

bool jm_sync_next(jm_sync_t *sync)
{
    const bool chip = (sync->bits & sync->top) != 0u;
    uint32_t tapped = sync->bits & sync->taps;
    uint32_t parity = 0u;
    while (tapped != 0u) {
        parity ^= 1u;
        tapped &= tapped - 1u;
    }
    sync->bits = ((sync->bits << 1) | parity) & ((sync->top << 1) - 1u);
    return chip;
}

static void set_trigger(bool is_high)
{
    if (is_high) {
        jm_port_set(JM_LINE_TRIGGER);
    } else {
        jm_port_clear(JM_LINE_TRIGGER);
    }
}

bool jm_sync_send(uint32_t order, uint32_t chip_us, bool idle_high, void (*load)(bool is_on))
{
    jm_sync_t sync;
    if (!jm_sync_init(&sync, order)) {
        return false;
    }
    const uint32_t chips = jm_sync_length(order);
    for (uint32_t k = 0u; k < chips; k++) {
        const bool chip = jm_sync_next(&sync);
        set_trigger(chip);
        if (load != NULL) {
            load(chip);
        }
        jm_port_wait_us(chip_us);
    }
    set_trigger(idle_high);
    if (load != NULL) {
        load(false);
    }
    return true;
}
