/*
 * Port to Arduino: digitalWrite, so it runs on every board and is slower than one store. Include it from a sketch or
 * library; define JM_PIN_TRIGGER (and JM_PIN_WARMUP, JM_PIN_BATCH) before, or in the build options.
 */
#ifndef JM_PORT_H
#define JM_PORT_H

#include <Arduino.h>

#ifndef JM_PIN_TRIGGER
#define JM_PIN_TRIGGER 7 /* the pin that MLPerf Tiny's reference firmware uses */
#endif

static inline void jm_arduino_write(jm_line_t line, uint8_t level)
{
    switch (line) {
    case JM_LINE_TRIGGER:
        digitalWrite(JM_PIN_TRIGGER, level);
        break;
#ifdef JM_PIN_WARMUP
    case JM_LINE_WARMUP:
        digitalWrite(JM_PIN_WARMUP, level);
        break;
#endif
#ifdef JM_PIN_BATCH
    case JM_LINE_BATCH:
        digitalWrite(JM_PIN_BATCH, level);
        break;
#endif
    default:
        break;
    }
}

static inline void jm_port_set(jm_line_t line) { jm_arduino_write(line, HIGH); }
static inline void jm_port_clear(jm_line_t line) { jm_arduino_write(line, LOW); }

static inline void jm_port_init(void)
{
    pinMode(JM_PIN_TRIGGER, OUTPUT);
#ifdef JM_PIN_WARMUP
    pinMode(JM_PIN_WARMUP, OUTPUT);
#endif
#ifdef JM_PIN_BATCH
    pinMode(JM_PIN_BATCH, OUTPUT);
#endif
}

/* delayMicroseconds is exact up to 16383 us only. */
static inline void jm_port_wait_us(uint32_t us)
{
    uint32_t left = us;
    while (left > 16000u) {
        delayMicroseconds(16000u);
        left -= 16000u;
    }
    if (left > 0u) {
        delayMicroseconds((unsigned int)left);
    }
}

static inline uint32_t jm_port_time_us(void) { return (uint32_t)micros(); }

#endif
