/* The hooks, the sync pattern and the C glue on the host port. Prints one line a check that fails. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "jm_cmsis_nn.h"
#include "jm_hooks.h"
#include "jm_mlperf_tiny.h"
#include "jm_nnom.h"
#include "jm_sync.h"
#include "network.h"

#include "jm_xcubeai.h"

JM_XCUBEAI_RUN(network)

host_change_t host_log[HOST_LOG_LENGTH];
uint32_t host_changes = 0u;
uint32_t host_time_us = 0u;

static char printed[256];
static int failures = 0;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

void th_printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const size_t length = strlen(printed);
    (void)vsnprintf(&printed[length], sizeof printed - length, format, arguments);
    va_end(arguments);
}

/* The levels of the trigger line at the moment of the call: what the glue must have set. */
static int level_inside = -1;

static void note_level(void) { level_inside = host_log[host_changes - 1u].level; }

static arm_cmsis_nn_status cmsis_network(void *context)
{
    note_level();
    return *(arm_cmsis_nn_status *)context;
}

ai_i32 ai_network_run(ai_handle network, const ai_buffer *input, ai_buffer *output)
{
    note_level();
    return ((network != NULL) && (input != NULL) && (output != NULL)) ? 1 : 0;
}

nnom_status_t model_run(nnom_model_t *model)
{
    note_level();
    return (model->id == 7) ? NN_SUCCESS : NN_ARGUMENT_ERROR;
}

static int is_change(uint32_t k, jm_line_t line, int level)
{
    return (k < host_changes) && (host_log[k].line == line) && (host_log[k].level == level);
}

static void start_over(void)
{
    host_changes = 0u;
    host_time_us = 0u;
    level_inside = -1;
    printed[0] = '\0';
}

static void marks(void)
{
    start_over();
    jm_init_levels();
    CHECK(host_changes == 3u && is_change(0u, JM_LINE_TRIGGER, 0));
    start_over();
    jm_infer_begin();
    jm_infer_end();
    jm_warmup_begin();
    jm_warmup_end();
    jm_batch_begin();
    jm_batch_end();
    CHECK(is_change(0u, JM_LINE_TRIGGER, 1) && is_change(1u, JM_LINE_TRIGGER, 0));
    CHECK(is_change(2u, JM_LINE_WARMUP, 1) && is_change(3u, JM_LINE_WARMUP, 0));
    CHECK(is_change(4u, JM_LINE_BATCH, 1) && is_change(5u, JM_LINE_BATCH, 0));
    CHECK(host_changes == 6u);
    start_over();
    jm_init_pulses();
    CHECK(is_change(0u, JM_LINE_TRIGGER, 1));
    jm_timestamp_pulse();
    CHECK(is_change(3u, JM_LINE_TRIGGER, 0) && is_change(4u, JM_LINE_TRIGGER, 1));
    CHECK(host_log[4].time_us - host_log[3].time_us == JM_PULSE_US);
}

static void glue(void)
{
    start_over();
    arm_cmsis_nn_status wanted = ARM_CMSIS_NN_ARG_ERROR;
    CHECK(jm_cmsis_nn_run(cmsis_network, &wanted) == ARM_CMSIS_NN_ARG_ERROR);
    CHECK(level_inside == 1 && host_changes == 2u && is_change(1u, JM_LINE_TRIGGER, 0));

    start_over();
    int handle = 0;
    ai_buffer buffer = {NULL};
    CHECK(jm_ai_network_run(&handle, &buffer, &buffer) == 1);
    CHECK(level_inside == 1 && host_changes == 2u && is_change(1u, JM_LINE_TRIGGER, 0));

    start_over();
    nnom_model_t model = {7};
    CHECK(jm_model_run(&model) == NN_SUCCESS);
    CHECK(level_inside == 1 && host_changes == 2u && is_change(1u, JM_LINE_TRIGGER, 0));

    start_over();
    host_time_us = 4000000000u;
    jm_th_timestamp_initialize();
#if EE_CFG_ENERGY_MODE == 1
    CHECK(strcmp(printed, "m-timestamp-mode-energy\r\n") == 0);
    CHECK(is_change(3u, JM_LINE_TRIGGER, 0) && is_change(4u, JM_LINE_TRIGGER, 1));
#else
    CHECK(strcmp(printed, "m-timestamp-mode-performance\r\nm-lap-us-4000000000\r\n") == 0);
    CHECK(is_change(0u, JM_LINE_TRIGGER, 0));
#endif
    start_over();
    jm_th_pre();
    jm_th_post();
    CHECK(is_change(0u, JM_LINE_BATCH, 1) && is_change(1u, JM_LINE_BATCH, 0));
}

/* An m-sequence of n chips correlates with itself to n, and with each shift of itself to -1. */
static void sync_order(uint32_t order)
{
    static int chips[2047];
    jm_sync_t sync;
    const uint32_t n = jm_sync_length(order);
    CHECK(n == ((1u << order) - 1u) && jm_sync_init(&sync, order));
    for (uint32_t k = 0u; k < n; k++) {
        chips[k] = jm_sync_next(&sync) ? 1 : -1;
    }
    for (uint32_t shift = 1u; shift < n; shift++) {
        int sum = 0;
        for (uint32_t k = 0u; k < n; k++) {
            sum += chips[k] * chips[(k + shift) % n];
        }
        CHECK(sum == -1);
    }
    for (uint32_t k = 0u; k < order; k++) {
        CHECK(chips[k] == 1);
    }
    CHECK(jm_sync_next(&sync) == (chips[0] == 1));
}

static int loads = 0;
static void load(bool is_on) { loads += is_on ? 1 : 0; }

static void sync_pattern(void)
{
    static const uint32_t orders[] = {7u, 9u, 10u, 11u};
    for (uint32_t k = 0u; k < 4u; k++) {
        sync_order(orders[k]);
    }
    jm_sync_t sync;
    CHECK(!jm_sync_init(&sync, 8u) && jm_sync_length(32u) == 0u && !jm_sync_send(8u, 1u, false, NULL));
    start_over();
    CHECK(jm_sync_send(7u, 2000u, true, load));
    CHECK(loads == 64 && host_time_us == 127u * 2000u && host_changes == 128u);
    CHECK(is_change(127u, JM_LINE_TRIGGER, 1));
}

int main(void)
{
    marks();
    glue();
    sync_pattern();
    return (failures == 0) ? 0 : 1;
}
