/*
 * A DUT on a micro:bit, made to run in QEMU: answers the MLPerf Tiny protocol and runs a small int8 network.
 *
 * EE_CFG_ENERGY_MODE=1: timestamps are pulses on the trigger line (windows of N inferences).
 * EE_CFG_ENERGY_MODE=0: timestamps are printed; each inference is marked by a high level of the trigger line.
 */
#include <stdarg.h>
#include <stdbool.h>

#include "jm_mlperf_tiny.h"
#include "jm_monitor.h"
#include "jm_net.h"
#include "jm_sync.h"
#include "uart.h"

#ifndef JM_DUT_NAME
#define JM_DUT_NAME "Joulemark microbit"
#endif

/* Rest after each marked inference; with one, the power between two of them can be seen, and throughput means nothing. */
#ifndef JM_DUT_REST_US
#define JM_DUT_REST_US 0u
#endif

static uint8_t buffer[2u * JM_NET_INPUT_BYTES];
static int8_t input[JM_NET_INPUT_BYTES];
static uint8_t scores[JM_NET_CLASSES];
static bool is_warming_up = false;

/* Knows %lu, which is all that the glue prints. */
void th_printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    for (const char *at = format; *at != '\0'; at++) {
        if ((at[0] == '%') && (at[1] == 'l') && (at[2] == 'u')) {
            char digits[11];
            jm_monitor_decimal((uint32_t)va_arg(arguments, unsigned long), digits);
            uart_write(digits);
            at += 2;
        } else {
            const char character[2] = {*at, '\0'};
            uart_write(character);
        }
    }
    va_end(arguments);
}

static void load_tensor(const uint8_t *bytes, uint32_t size)
{
    if (size != JM_NET_INPUT_BYTES) {
        char digits[11];
        uart_write("Input db has ");
        jm_monitor_decimal(size, digits);
        uart_write(digits);
        uart_write(" elemented, expected ");
        jm_monitor_decimal(JM_NET_INPUT_BYTES, digits);
        uart_write(digits);
        uart_write("\n");
        return;
    }
    for (uint32_t k = 0u; k < size; k++) {
        input[k] = (int8_t)bytes[k];
    }
}

static void infer(void)
{
#if EE_CFG_ENERGY_MODE == 1
    jm_net_run(input, scores);
#else
    if (is_warming_up) {
        jm_net_run(input, scores);
    } else {
        jm_infer_begin();
        jm_net_run(input, scores);
        jm_infer_end();
#if JM_DUT_REST_US > 0
        jm_port_wait_us(JM_DUT_REST_US);
#endif
    }
#endif
}

static void warmup_begin(void)
{
    is_warming_up = true;
    jm_warmup_begin();
}

static void warmup_end(void)
{
    jm_warmup_end();
    is_warming_up = false;
}

static void results(void)
{
    uart_write("m-results-[");
    for (uint32_t c = 0u; c < JM_NET_CLASSES; c++) {
        const uint32_t thousandths = (((uint32_t)scores[c] * 1000u) + 128u) / 256u;
        const char text[] = {
            ',',
            '0',
            '.',
            (char)('0' + (int)(thousandths / 100u)),
            (char)('0' + (int)((thousandths / 10u) % 10u)),
            (char)('0' + (int)(thousandths % 10u)),
            '\0',
        };
        uart_write((c == 0u) ? &text[1] : text);
    }
    uart_write("]\r\n");
}

static bool sync(uint32_t order, uint32_t chip_us)
{
    /* There is no load to switch: the pattern is on the pin alone. */
    return jm_sync_send(order, chip_us, EE_CFG_ENERGY_MODE == 1, NULL);
}

static const jm_monitor_firmware_t firmware = {
    .name = JM_DUT_NAME,
    .model = "kws01",
    .buffer = buffer,
    .capacity = sizeof buffer,
    .write = uart_write,
    .load_tensor = load_tensor,
    .infer = infer,
    .timestamp = jm_th_timestamp,
    .pre = jm_th_pre,
    .post = jm_th_post,
    .warmup_begin = warmup_begin,
    .warmup_end = warmup_end,
    .results = results,
    .sync = sync,
};

int main(void)
{
    static jm_monitor_t monitor;
    uart_init();
    jm_th_timestamp_initialize();
    jm_monitor_start(&monitor, &firmware);
    for (;;) {
        jm_monitor_receive(&monitor, uart_read());
    }
}
