/*
 * Port to a bare nRF51 (Cortex-M0): one store a mark, through OUTSET and OUTCLR. Pins are P0.00 to P0.31; a line whose
 * pin is not defined does nothing. Register addresses: nRF51 Series Reference Manual, GPIO and TIMER.
 */
#ifndef JM_PORT_H
#define JM_PORT_H

#include <stdint.h>

#ifndef JM_PIN_TRIGGER
#define JM_PIN_TRIGGER 3u /* ring 0 of the micro:bit's edge connector */
#endif

/*
 * Turns of the waiting loop a microsecond, times 16. On the chip a turn is SUBS (1 cycle) and a taken BNE (3 cycles) at
 * 16 MHz; in QEMU it is two instructions of 64 ns.
 */
#ifndef JM_NRF51_TURNS_PER_16_US
#define JM_NRF51_TURNS_PER_16_US 64u
#endif

/* What TIMER0 had counted before it was cleared, for a port that does that. */
#ifndef JM_NRF51_COUNTED_US
#define JM_NRF51_COUNTED_US 0u
#endif

#define JM_NRF51_REGISTER(address) (*(volatile uint32_t *)(address))
#define JM_NRF51_OUTSET JM_NRF51_REGISTER(0x50000508u)
#define JM_NRF51_OUTCLR JM_NRF51_REGISTER(0x5000050Cu)
#define JM_NRF51_DIRSET JM_NRF51_REGISTER(0x50000518u)
#define JM_NRF51_TIMER0_START JM_NRF51_REGISTER(0x40008000u)
#define JM_NRF51_TIMER0_CAPTURE0 JM_NRF51_REGISTER(0x40008040u)
#define JM_NRF51_TIMER0_BITMODE JM_NRF51_REGISTER(0x40008508u)
#define JM_NRF51_TIMER0_PRESCALER JM_NRF51_REGISTER(0x40008510u)
#define JM_NRF51_TIMER0_CC0 JM_NRF51_REGISTER(0x40008540u)

static inline uint32_t jm_nrf51_mask(jm_line_t line)
{
    uint32_t mask = 0u;
    switch (line) {
    case JM_LINE_TRIGGER:
        mask = (uint32_t)1u << JM_PIN_TRIGGER;
        break;
#ifdef JM_PIN_WARMUP
    case JM_LINE_WARMUP:
        mask = (uint32_t)1u << JM_PIN_WARMUP;
        break;
#endif
#ifdef JM_PIN_BATCH
    case JM_LINE_BATCH:
        mask = (uint32_t)1u << JM_PIN_BATCH;
        break;
#endif
    default:
        break;
    }
    return mask;
}

static inline void jm_port_set(jm_line_t line)
{
    const uint32_t mask = jm_nrf51_mask(line);
    if (mask != 0u) {
        JM_NRF51_OUTSET = mask;
    }
}

static inline void jm_port_clear(jm_line_t line)
{
    const uint32_t mask = jm_nrf51_mask(line);
    if (mask != 0u) {
        JM_NRF51_OUTCLR = mask;
    }
}

/* Also starts TIMER0 at 1 MHz, 32 bits. */
static inline void jm_port_init(void)
{
    JM_NRF51_DIRSET =
        jm_nrf51_mask(JM_LINE_TRIGGER) | jm_nrf51_mask(JM_LINE_WARMUP) | jm_nrf51_mask(JM_LINE_BATCH);
    JM_NRF51_TIMER0_BITMODE = 3u;
    JM_NRF51_TIMER0_PRESCALER = 4u;
    JM_NRF51_TIMER0_START = 1u;
}

static inline void jm_port_wait_us(uint32_t us)
{
    uint32_t turns = ((us * JM_NRF51_TURNS_PER_16_US) / 16u) + 1u;
    __asm volatile(".syntax unified\n1: subs %0, #1\n   bne 1b\n" : "+l"(turns) : : "cc");
}

static inline uint32_t jm_port_time_us(void)
{
    JM_NRF51_TIMER0_CAPTURE0 = 1u;
    return JM_NRF51_COUNTED_US + JM_NRF51_TIMER0_CC0;
}

#endif
