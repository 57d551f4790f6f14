/* A port over stubs of its platform: what the hooks do to the hardware, one line a touch. Compiled once a port. */
#include <stdio.h>

#include "jm_hooks.h"

#if defined(PORT_STM32)

GPIO_TypeDef stub_gpio_a, stub_gpio_b;
CoreDebug_Type stub_core_debug;
SysTick_Type stub_systick = {167999u, 83999u};
uint32_t SystemCoreClock = 168000000u;
static DWT_Type dwt;

DWT_Type *stub_dwt(void)
{
    dwt.CYCCNT += 100u;
    return &dwt;
}
uint32_t HAL_GetTick(void) { return 5u; }
static void show(const char *what)
{
    printf("%s A=%08lx B=%08lx\n", what, (unsigned long)stub_gpio_a.BSRR, (unsigned long)stub_gpio_b.BSRR);
    stub_gpio_a.BSRR = 0u;
    stub_gpio_b.BSRR = 0u;
}

#elif defined(PORT_ARDUINO)

static unsigned long now = 0u;

void pinMode(uint8_t pin, uint8_t mode) { printf("pinMode %u %u\n", pin, mode); }
void digitalWrite(uint8_t pin, uint8_t level) { printf("digitalWrite %u %u\n", pin, level); }
void delayMicroseconds(unsigned int us) { now += us; }
unsigned long micros(void) { return now; }
static void show(const char *what) { printf("%s\n", what); }

#elif defined(PORT_ZEPHYR)

const struct device stub_port = {0};
static uint32_t now = 0u;

int gpio_pin_set_dt(const struct gpio_dt_spec *spec, int level)
{
    printf("set %u %d\n", spec->pin, level);
    return 0;
}
int gpio_pin_configure_dt(const struct gpio_dt_spec *spec, int flags)
{
    printf("configure %u %d\n", spec->pin, flags);
    return 0;
}
void k_busy_wait(uint32_t us) { now += us; }
int64_t k_uptime_ticks(void) { return (int64_t)now / 100; }
uint64_t k_ticks_to_us_floor64(uint64_t ticks) { return ticks * 100u; }
static void show(const char *what) { printf("%s\n", what); }

#endif

int main(void)
{
    jm_init_levels();
    show("init");
    jm_infer_begin();
    show("begin");
    jm_infer_end();
    show("end");
    jm_warmup_begin();
    show("warmup");
    jm_batch_begin();
    show("batch");
    const uint32_t start = jm_port_time_us();
    jm_port_wait_us(40000u);
    printf("start %lu\n", (unsigned long)start);
#if !defined(PORT_STM32)
    printf("waited %lu\n", (unsigned long)(jm_port_time_us() - start));
#else
    printf("waited %d\n", dwt.CYCCNT >= 40000u * 168u);
#endif
    return 0;
}
