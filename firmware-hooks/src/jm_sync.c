#include "jm_sync.h"

#include <stddef.h>

#include "jm_hooks.h"

/* The exponent of the polynomial's middle term; 0 for an order that is not supported. */
static uint32_t inner_exponent(uint32_t order)
{
    uint32_t exponent = 0u;
    switch (order) {
    case 7u:
        exponent = 6u;
        break;
    case 9u:
        exponent = 5u;
        break;
    case 10u:
        exponent = 7u;
        break;
    case 11u:
        exponent = 9u;
        break;
    default:
        break;
    }
    return exponent;
}

uint32_t jm_sync_length(uint32_t order)
{
    return (inner_exponent(order) == 0u) ? 0u : (((uint32_t)1u << order) - 1u);
}

bool jm_sync_init(jm_sync_t *sync, uint32_t order)
{
    const uint32_t exponent = inner_exponent(order);
    if (exponent == 0u) {
        return false;
    }
    sync->bits = jm_sync_length(order);
    sync->last = order - 1u;
    sync->inner = exponent - 1u;
    return true;
}

bool jm_sync_next(jm_sync_t *sync)
{
    const uint32_t chip = (sync->bits >> sync->last) & 1u;
    const uint32_t fed_back = (chip ^ (sync->bits >> sync->inner)) & 1u;
    sync->bits = (sync->bits << 1) | fed_back;
    return chip != 0u;
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
