#include "uart.h"

#include "jm_hooks.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define UART_STARTRX REGISTER(0x40002000u)
#define UART_STARTTX REGISTER(0x40002008u)
#define UART_RXDRDY REGISTER(0x40002108u)
#define UART_TXDRDY REGISTER(0x4000211Cu)
#define UART_INTENSET REGISTER(0x40002304u)
#define UART_ENABLE REGISTER(0x40002500u)
#define UART_PSELTXD REGISTER(0x4000250Cu)
#define UART_PSELRXD REGISTER(0x40002514u)
#define UART_RXD REGISTER(0x40002518u)
#define UART_TXD REGISTER(0x4000251Cu)
#define UART_BAUDRATE REGISTER(0x40002524u)
#define TIMER0_START REGISTER(0x40008000u)
#define TIMER0_STOP REGISTER(0x40008004u)
#define TIMER0_CLEAR REGISTER(0x4000800Cu)
#define NVIC_ISER REGISTER(0xE000E100u)
#define NVIC_ICPR REGISTER(0xE000E280u)

#define UART_INTERRUPT (1u << 2)
#define RXDRDY_INTERRUPT (1u << 2)
#define PIN_TX 24u /* micro:bit, to its USB chip */
#define PIN_RX 25u
#if EE_CFG_ENERGY_MODE == 1
#define BAUD 0x00275000u /* 9600 */
#else
#define BAUD 0x01D7E000u /* 115200 */
#endif

uint32_t uart_counted_us = 0u;

void uart_init(void)
{
    /* The interrupt only wakes the processor; it is never taken. */
    __asm volatile("cpsid i" ::: "memory");
    UART_ENABLE = 4u;
    UART_BAUDRATE = BAUD;
    UART_PSELTXD = PIN_TX;
    UART_PSELRXD = PIN_RX;
    UART_STARTRX = 1u;
    UART_STARTTX = 1u;
    UART_INTENSET = RXDRDY_INTERRUPT;
    NVIC_ISER = UART_INTERRUPT;
}

void uart_write(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        UART_TXDRDY = 0u;
        UART_TXD = (uint8_t)*at;
        while (UART_TXDRDY == 0u) {
        }
        jm_port_wait_us(UART_CHARACTER_US);
    }
}

char uart_read(void)
{
    /*
     * TIMER0 stands still meanwhile: QEMU lets virtual time jump to the next event of a timer when the processor sleeps.
     * No timestamp is made while waiting, so no lap is wrong. It starts again from 0: QEMU counts twice what a stopped timer holds.
     */
    uart_counted_us = jm_port_time_us();
    TIMER0_STOP = 1u;
    TIMER0_CLEAR = 1u;
    NVIC_ICPR = UART_INTERRUPT;
    while (UART_RXDRDY == 0u) {
        __asm volatile("wfi" ::: "memory");
        NVIC_ICPR = UART_INTERRUPT;
    }
    TIMER0_START = 1u;
    UART_RXDRDY = 0u;
    const char character = (char)(uint8_t)UART_RXD;
    jm_port_wait_us(UART_CHARACTER_US);
    return character;
}
