/*
 * The IO manager's logic, without its pins: commands from the host, pass-through to the DUT, timestamps of edges. Commands
 * end with `%`; every answer ends with `m-ready`. The DUT's lines are passed on with the prefix `[dut]: `.
 */
#ifndef IM_CORE_H
#define IM_CORE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longest command that is kept: `dut ` and the DUT's 80 characters. */
#define IM_COMMAND_LENGTH 84u
/* Longest line of the DUT that is held back until its end; a longer one is passed on in pieces. */
#define IM_LINE_LENGTH 128u
/* Edges between two calls of im_poll(). */
#define IM_QUEUE_LENGTH 16u

typedef struct {
    void (*to_host)(const char *text);
    void (*to_dut)(const char *text);
    /* The timer starts or stops, on falling edges alone or on both. */
    void (*timer)(bool is_on, bool is_falling_only);
} im_ports_t;

typedef struct {
    const im_ports_t *ports;
    bool is_falling_only;
    bool is_timer_on;
    bool is_inside_line;
    uint32_t command_length;
    uint32_t line_length;
    char command[IM_COMMAND_LENGTH + 1u];
    char line[IM_LINE_LENGTH + 1u];
    /* Written by the interrupt alone: head, times, lost. Read and moved by im_poll() alone: tail, told. */
    volatile uint8_t head;
    volatile uint8_t tail;
    volatile uint32_t lost;
    uint32_t told;
    volatile uint32_t times_us[IM_QUEUE_LENGTH];
} im_t;

void im_init(im_t *im, const im_ports_t *ports);

/* One character from the host, or from the DUT. */
void im_host(im_t *im, char character);
void im_dut(im_t *im, char character);

/* One edge. May be called from an interrupt. */
void im_edge(im_t *im, uint32_t time_us);

/* Prints edges as `m-lap-us-N`, but never inside a line of the DUT. */
void im_poll(im_t *im);

/*
 * A 16-bit capture as a 32-bit tick. `overflows` counts the timer's overflows so far; `is_overflow_pending` tells of one
 * that has not been counted, which came before the capture if the capture is a small number.
 */
uint32_t im_extend(uint16_t overflows, uint16_t captured, bool is_overflow_pending);

#ifdef __cplusplus
}
#endif

#endif
