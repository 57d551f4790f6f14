/* UART0 of the nRF51, polled; the processor sleeps while it waits for a character. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

/*
 * Time of one character in us, spent by the firmware itself: QEMU's UART has no baud rate. 0 on a real board.
 */
#ifndef UART_CHARACTER_US
#define UART_CHARACTER_US 0u
#endif

/* What TIMER0 had counted, in us, when the last wait for a character began; the waits are left out. */
extern uint32_t uart_counted_us;

void uart_init(void);
void uart_write(const char *text);
char uart_read(void);

#endif
