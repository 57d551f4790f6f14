/* What the hooks cost on the nRF51: an empty inference, a call, a timestamp pulse, and a sync pattern. */
#include "jm_hooks.h"
#include "jm_sync.h"

static void __attribute__((noinline)) nothing(void)
{
    __asm volatile("");
}

int main(void)
{
    jm_init_levels();
    jm_infer_begin();
    jm_infer_end();
    jm_infer_begin();
    nothing();
    jm_infer_end();
    jm_port_set(JM_LINE_TRIGGER);
    jm_timestamp_pulse();
    jm_port_clear(JM_LINE_TRIGGER);
    (void)jm_sync_send(7u, 100u, false, 0);
    for (;;) {
        __asm volatile("wfi");
    }
}
