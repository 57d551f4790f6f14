/* As much of Zephyr's GPIO driver as the port touches. The devicetree has the trigger and the batch line. */
#ifndef ZEPHYR_DRIVERS_GPIO_H
#define ZEPHYR_DRIVERS_GPIO_H

#include <stddef.h>
#include <stdint.h>

struct device {
    int id;
};
struct gpio_dt_spec {
    const struct device *port;
    uint8_t pin;
};

extern const struct device stub_port;

#define DT_PATH(node) node
#define STUB_SPEC_jm_trigger_gpios {&stub_port, 3}
#define STUB_SPEC_jm_batch_gpios {&stub_port, 4}
#define GPIO_DT_SPEC_GET(node, property) STUB_SPEC_##property
#define GPIO_DT_SPEC_GET_OR(node, property, otherwise) STUB_OR_##property
#define STUB_OR_jm_warmup_gpios {NULL, 0}
#define STUB_OR_jm_batch_gpios STUB_SPEC_jm_batch_gpios
#define GPIO_OUTPUT_INACTIVE 1

int gpio_pin_set_dt(const struct gpio_dt_spec *spec, int level);
int gpio_pin_configure_dt(const struct gpio_dt_spec *spec, int flags);

#endif
