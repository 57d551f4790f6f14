/* Port for tests on the host: lines are remembered, every change is logged, time is made of waits. */
#ifndef JM_PORT_H
#define JM_PORT_H

#include <stdint.h>

#define HOST_LOG_LENGTH 4096u

typedef struct {
    uint32_t time_us;
    jm_line_t line;
    int level;
} host_change_t;

extern host_change_t host_log[HOST_LOG_LENGTH];
extern uint32_t host_changes;
extern uint32_t host_time_us;

static inline void host_change(jm_line_t line, int level)
{
    if (host_changes < HOST_LOG_LENGTH) {
        host_log[host_changes].time_us = host_time_us;
        host_log[host_changes].line = line;
        host_log[host_changes].level = level;
        host_changes++;
    }
}

static inline void jm_port_init(void) {}
static inline void jm_port_set(jm_line_t line) { host_change(line, 1); }
static inline void jm_port_clear(jm_line_t line) { host_change(line, 0); }
static inline void jm_port_wait_us(uint32_t us) { host_time_us += us; }
static inline uint32_t jm_port_time_us(void) { return host_time_us; }

#endif
