/*
 * The DUT's side of the MLPerf Tiny serial protocol: commands that end with `%`, answers in lines, `m-ready` at the end.
 * C99, no heap. Written from the protocol's description; for firmware that does not bring EEMBC's own monitor.
 */
#ifndef JM_MONITOR_H
#define JM_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Characters of a command that are kept; the rest up to the `%` is dropped. */
#define JM_MONITOR_COMMAND_LENGTH 80u

/* What the monitor asks of the firmware around it. All entries but `sync` are needed. */
typedef struct {
    const char *name;  /* m-name-dut-[...] */
    const char *model; /* m-model-[...] */
    uint8_t *buffer;   /* where `db` puts the input */
    uint32_t capacity; /* its size: larger inputs are announced as too large, and what exceeds it is dropped */
    void (*write)(const char *text);
    void (*load_tensor)(const uint8_t *bytes, uint32_t size);
    void (*infer)(void);
    void (*timestamp)(void);
    void (*pre)(void);  /* right after the first timestamp of `infer` */
    void (*post)(void); /* right before the second one */
    void (*warmup_begin)(void);
    void (*warmup_end)(void);
    void (*results)(void); /* prints `m-results-[...]` and the line end */
    /* Plays the coded pattern (jm_sync_send); false where it cannot. NULL: there is no command `sync`. */
    bool (*sync)(uint32_t order, uint32_t chip_us);
} jm_monitor_firmware_t;

typedef struct {
    const jm_monitor_firmware_t *firmware;
    uint32_t size;     /* bytes announced by `db load` */
    uint32_t position; /* bytes received */
    uint32_t length;   /* characters of the command so far */
    char command[JM_MONITOR_COMMAND_LENGTH + 1u];
} jm_monitor_t;

/* Prints `m-init-done` and `m-ready`; commands are answered from here on. */
void jm_monitor_start(jm_monitor_t *monitor, const jm_monitor_firmware_t *firmware);

/* One received character. Call it outside of interrupts: a complete command is carried out here. */
void jm_monitor_receive(jm_monitor_t *monitor, char character);

/* `value` in decimal. `text` holds at least 11 characters. */
void jm_monitor_decimal(uint32_t value, char text[11]);

#ifdef __cplusplus
}
#endif

#endif
