/*
 * Port to STM32 with ST's HAL: one store a mark, through BSRR. Before it is included, the project's main.h (CubeMX) says
 * where the lines are: label the trigger pin JM_TRIGGER in CubeMX, and JM_WARMUP and JM_BATCH if they are wired.
 * CubeMX configures the pins as outputs. Times need a core with a DWT cycle counter (Cortex-M3 and up).
 */
#ifndef JM_PORT_H
#define JM_PORT_H

#include "main.h"

#ifndef JM_TRIGGER_Pin
#error "label a pin JM_TRIGGER in CubeMX, or define JM_TRIGGER_GPIO_Port and JM_TRIGGER_Pin"
#endif

static inline void jm_stm32_write(jm_line_t line, uint32_t shift)
{
    switch (line) {
    case JM_LINE_TRIGGER:
        JM_TRIGGER_GPIO_Port->BSRR = (uint32_t)JM_TRIGGER_Pin << shift;
        break;
#ifdef JM_WARMUP_Pin
    case JM_LINE_WARMUP:
        JM_WARMUP_GPIO_Port->BSRR = (uint32_t)JM_WARMUP_Pin << shift;
        break;
#endif
#ifdef JM_BATCH_Pin
    case JM_LINE_BATCH:
        JM_BATCH_GPIO_Port->BSRR = (uint32_t)JM_BATCH_Pin << shift;
        break;
#endif
    default:
        break;
    }
}

/* The low half of BSRR sets pins, the high half clears them. */
static inline void jm_port_set(jm_line_t line) { jm_stm32_write(line, 0u); }
static inline void jm_port_clear(jm_line_t line) { jm_stm32_write(line, 16u); }

/* Starts the cycle counter. */
static inline void jm_port_init(void)
{
    CoreDebug->DEMCR |= CoreDebug_DEMCR_TRCENA_Msk;
    DWT->CYCCNT = 0u;
    DWT->CTRL |= DWT_CTRL_CYCCNTENA_Msk;
}

static inline void jm_port_wait_us(uint32_t us)
{
    const uint32_t start = DWT->CYCCNT;
    const uint32_t cycles = us * (SystemCoreClock / 1000000u);
    while ((DWT->CYCCNT - start) < cycles) {
    }
}

/* HAL_GetTick() counts milliseconds, SysTick counts down within one. */
static inline uint32_t jm_port_time_us(void)
{
    uint32_t ms;
    uint32_t left;
    do {
        ms = HAL_GetTick();
        left = SysTick->VAL;
    } while (ms != HAL_GetTick());
    const uint32_t period = SysTick->LOAD + 1u;
    return (ms * 1000u) + ((((period - 1u) - left) * 1000u) / period);
}

#endif
