/* As much of ST's HAL as the port touches, on memory. */
#ifndef MAIN_H
#define MAIN_H

#include <stdint.h>

typedef struct {
    volatile uint32_t BSRR;
} GPIO_TypeDef;
typedef struct {
    volatile uint32_t CTRL;
    volatile uint32_t CYCCNT;
} DWT_Type;
typedef struct {
    volatile uint32_t DEMCR;
} CoreDebug_Type;
typedef struct {
    volatile uint32_t LOAD;
    volatile uint32_t VAL;
} SysTick_Type;

extern GPIO_TypeDef stub_gpio_a, stub_gpio_b;
extern CoreDebug_Type stub_core_debug;
extern SysTick_Type stub_systick;
extern uint32_t SystemCoreClock;
DWT_Type *stub_dwt(void); /* each look lets time pass */
uint32_t HAL_GetTick(void);

#define DWT stub_dwt()
#define CoreDebug (&stub_core_debug)
#define SysTick (&stub_systick)
#define CoreDebug_DEMCR_TRCENA_Msk 0x01000000u
#define DWT_CTRL_CYCCNTENA_Msk 1u

#define JM_TRIGGER_GPIO_Port (&stub_gpio_a)
#define JM_TRIGGER_Pin ((uint16_t)0x0020)
#define JM_WARMUP_GPIO_Port (&stub_gpio_b)
#define JM_WARMUP_Pin ((uint16_t)0x8000)

#endif
