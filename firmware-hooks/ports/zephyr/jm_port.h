/*
 * Port to Zephyr. The devicetree says where the lines are, as GPIOs of the node `zephyr,user`:
 *
 *   / { zephyr,user { jm-trigger-gpios = <&gpio0 3 GPIO_ACTIVE_HIGH>; }; };
 *
 * `jm-warmup-gpios` and `jm-batch-gpios` may stand beside it. A mark costs a call of the GPIO driver.
 */
#ifndef JM_PORT_H
#define JM_PORT_H

#include <zephyr/drivers/gpio.h>
#include <zephyr/kernel.h>

#define JM_ZEPHYR_USER DT_PATH(zephyr_user)

/* In the order of jm_line_t. */
static const struct gpio_dt_spec jm_zephyr_pins[] = {
    GPIO_DT_SPEC_GET(JM_ZEPHYR_USER, jm_trigger_gpios),
    GPIO_DT_SPEC_GET_OR(JM_ZEPHYR_USER, jm_warmup_gpios, {0}),
    GPIO_DT_SPEC_GET_OR(JM_ZEPHYR_USER, jm_batch_gpios, {0}),
};

static inline void jm_zephyr_write(jm_line_t line, int level)
{
    const struct gpio_dt_spec *const pin = &jm_zephyr_pins[line];
    if (pin->port != NULL) {
        (void)gpio_pin_set_dt(pin, level);
    }
}

static inline void jm_port_set(jm_line_t line) { jm_zephyr_write(line, 1); }
static inline void jm_port_clear(jm_line_t line) { jm_zephyr_write(line, 0); }

static inline void jm_port_init(void)
{
    for (uint32_t k = 0u; k < (sizeof jm_zephyr_pins / sizeof jm_zephyr_pins[0]); k++) {
        if (jm_zephyr_pins[k].port != NULL) {
            (void)gpio_pin_configure_dt(&jm_zephyr_pins[k], GPIO_OUTPUT_INACTIVE);
        }
    }
}

static inline void jm_port_wait_us(uint32_t us) { k_busy_wait(us); }
static inline uint32_t jm_port_time_us(void) { return (uint32_t)k_ticks_to_us_floor64((uint64_t)k_uptime_ticks()); }

#endif
