/*
 * Joulemark hooks: marks on GPIO lines around inferences, for the device under test (DUT).
 *
 * C99, no heap, no library calls. The pins come from a port: a header `jm_port.h` on the include path (see ports/ and
 * README.md) with these functions, all of them `static inline`:
 *
 *   void jm_port_init(void)                   makes the lines outputs; their levels are set afterwards
 *   void jm_port_set(jm_line_t line)          line high; one store where the hardware can
 *   void jm_port_clear(jm_line_t line)        line low
 *   void jm_port_wait_us(uint32_t us)         busy wait, at least this long
 *   uint32_t jm_port_time_us(void)            free-running microseconds (MLPerf Tiny performance mode only)
 *
 * A port leaves out lines that it has no pin for: setting them does nothing.
 */
#ifndef JM_HOOKS_H
#define JM_HOOKS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    JM_LINE_TRIGGER = 0, /* inferences, timestamps, sync pattern */
    JM_LINE_WARMUP = 1,  /* high while warming up */
    JM_LINE_BATCH = 2    /* high during a batch of inferences */
} jm_line_t;

#include "jm_port.h"

/* Length of a timestamp pulse. The `energyrunner` profile ignores further edges for 50 us. */
#ifndef JM_PULSE_US
#define JM_PULSE_US 50u
#endif

/* Keeps the compiler from moving work across a mark. Costs no instruction. */
#if defined(__GNUC__) || defined(__clang__)
#define JM_BARRIER() __asm volatile("" ::: "memory")
#else
#define JM_BARRIER() ((void)0)
#endif

/* For windows by level (`level-high`): the trigger line idles low. */
static inline void jm_init_levels(void)
{
    jm_port_init();
    jm_port_clear(JM_LINE_TRIGGER);
    jm_port_clear(JM_LINE_WARMUP);
    jm_port_clear(JM_LINE_BATCH);
}

/* For windows by timestamp pulses (`falling-pairs`, MLPerf Tiny): the trigger line idles high. */
static inline void jm_init_pulses(void)
{
    jm_port_init();
    jm_port_set(JM_LINE_TRIGGER);
    jm_port_clear(JM_LINE_WARMUP);
    jm_port_clear(JM_LINE_BATCH);
}

static inline void jm_mark_begin(jm_line_t line)
{
    JM_BARRIER();
    jm_port_set(line);
    JM_BARRIER();
}

static inline void jm_mark_end(jm_line_t line)
{
    JM_BARRIER();
    jm_port_clear(line);
    JM_BARRIER();
}

/* Around one inference. README.md says what they cost. */
static inline void jm_infer_begin(void) { jm_mark_begin(JM_LINE_TRIGGER); }
static inline void jm_infer_end(void) { jm_mark_end(JM_LINE_TRIGGER); }

static inline void jm_warmup_begin(void) { jm_mark_begin(JM_LINE_WARMUP); }
static inline void jm_warmup_end(void) { jm_mark_end(JM_LINE_WARMUP); }

/* Around N inferences, where single ones are too short to be marked. */
static inline void jm_batch_begin(void) { jm_mark_begin(JM_LINE_BATCH); }
static inline void jm_batch_end(void) { jm_mark_end(JM_LINE_BATCH); }

/* One timestamp: the falling edge counts. The line must idle high (jm_init_pulses). */
static inline void jm_timestamp_pulse(void)
{
    JM_BARRIER();
    jm_port_clear(JM_LINE_TRIGGER);
    JM_BARRIER();
    jm_port_wait_us(JM_PULSE_US);
    jm_port_set(JM_LINE_TRIGGER);
    JM_BARRIER();
}

#ifdef __cplusplus
}
#endif

#endif
