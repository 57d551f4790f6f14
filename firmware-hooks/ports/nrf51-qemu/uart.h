/* UART0 of the nRF51, polled; the processor sleeps while it waits for a character. */
#ifndef UART_H
#define UART_H

/*
 * Time of one character in us, spent by the firmware itself: QEMU's UART has no baud rate. 0 on a real board.
 */
#ifndef UART_CHARACTER_US
#define UART_CHARACTER_US 0u
#endif

void uart_init(void);
void uart_write(const char *text);
char uart_read(void);

#endif
