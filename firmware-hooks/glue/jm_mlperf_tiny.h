/*
 * Glue for the th_* functions of MLPerf Tiny (benchmark/api/submitter_implemented.h): forward them like this.
 *
 *   void th_timestamp_initialize(void) { jm_th_timestamp_initialize(); }
 *   void th_timestamp(void)            { jm_th_timestamp(); }
 *   void th_pre(void)                  { jm_th_pre(); }
 *   void th_post(void)                 { jm_th_post(); }
 *
 * EE_CFG_ENERGY_MODE=1: a timestamp is a pulse on the trigger line, whose falling edge counts.
 * EE_CFG_ENERGY_MODE=0: a timestamp is a line `m-lap-us-N`; the trigger line is free for marks and idles low.
 */
#ifndef JM_MLPERF_TINY_H
#define JM_MLPERF_TINY_H

#include "jm_hooks.h"

#ifndef EE_CFG_ENERGY_MODE
#define EE_CFG_ENERGY_MODE 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Comes with the benchmark's API. */
void th_printf(const char *format, ...);

static inline void jm_th_timestamp(void)
{
#if EE_CFG_ENERGY_MODE == 1
    jm_timestamp_pulse();
#else
    th_printf("m-lap-us-%lu\r\n", (unsigned long)jm_port_time_us());
#endif
}

/* The mode and one timestamp, in the order in which the runners expect them at boot. */
static inline void jm_th_timestamp_initialize(void)
{
#if EE_CFG_ENERGY_MODE == 1
    jm_init_pulses();
    th_printf("m-timestamp-mode-energy\r\n");
#else
    jm_init_levels();
    th_printf("m-timestamp-mode-performance\r\n");
#endif
    jm_th_timestamp();
}

/* They stand inside the timestamps, so they must be short. */
static inline void jm_th_pre(void) { jm_batch_begin(); }
static inline void jm_th_post(void) { jm_batch_end(); }

#ifdef __cplusplus
}
#endif

#endif
