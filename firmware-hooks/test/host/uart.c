/* The firmware of ports/nrf51-qemu as a program of this machine: its UART is standard input and output. */
#include "uart.h"

#include <stdio.h>
#include <stdlib.h>

#include "jm_hooks.h"

host_change_t host_log[HOST_LOG_LENGTH];
uint32_t host_changes = 0u;
uint32_t host_time_us = 0u;

static uint32_t told = 0u;

void uart_init(void) {}

/* Changes of the lines go to standard error, before the text that follows them. */
static void tell_changes(void)
{
    for (; told < host_changes; told++) {
        fprintf(stderr, "%u %d\n", (unsigned)host_log[told].line, host_log[told].level);
    }
}

void uart_write(const char *text)
{
    tell_changes();
    fputs(text, stdout);
}

char uart_read(void)
{
    const int character = getchar();
    if (character == EOF) {
        tell_changes();
        exit(0);
    }
    return (char)character;
}
