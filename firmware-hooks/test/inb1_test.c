/*
 * The INA226 bridge as a filter: lines `h TEXT` (a command of the host), `s CHIP TICK SHUNT BUS` (chips 0 and 1 are INA226, 2 is an INA228), `l CHIP COUNT`,
 * `e TICK LINE LEVEL`, `x COUNT` (lost edges), `c` (a CRC), `z N` (COBS of N bytes). The bridge's bytes are printed as `= HEX`, calls of the board as text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inb1.h"

static uint64_t now = 1000u;

static void write_bytes(const uint8_t *bytes, uint32_t n)
{
    printf("= ");
    for (uint32_t k = 0u; k < n; k++) {
        printf("%02x", bytes[k]);
    }
    printf("\n");
}
static uint64_t now_us(void) { return now; }
static bool configure(uint8_t chip, uint16_t config, uint16_t adc_config)
{
    printf("configure %u %04x %04x\n", chip, config, adc_config);
    return config != 0xDEADu;
}
static void lines(uint8_t mask, inb1_edges_t edges) { printf("lines %u %d\n", mask, (int)edges); }
static void run(bool is_running) { printf("run %d\n", is_running); }

int main(void)
{
    static const inb1_board_t board = {"test", "SIM-01", write_bytes, now_us, configure, lines, run};
    static const inb1_chip_t chips[] = {
        {0x40u, 0x2260u, 0x4127u, 0u, 0.1f},
        {0x41u, 0x2260u, 0x4127u, 0u, 0.002f},
        {0x44u, 0x2281u, 0x0000u, 0xFB68u, 0.01f},
    };
    static inb1_t bridge;
    static char line[2048];
    inb1_init(&bridge, &board, chips, 3u);
    while (fgets(line, sizeof line, stdin) != NULL) {
        unsigned a = 0u;
        unsigned b = 0u;
        int c = 0;
        int d = 0;
        uint64_t tick = 0u;
        if (line[0] == 'h') {
            for (const char *at = &line[2]; *at != '\0'; at++) {
                inb1_receive(&bridge, *at);
            }
        } else if (sscanf(line, "s %u %" SCNu64 " %d %d", &a, &tick, &c, &d) == 4) {
            inb1_sample(&bridge, (uint8_t)a, tick, c, d);
        } else if (sscanf(line, "l %u %u", &a, &b) == 2) {
            inb1_lost(&bridge, (uint8_t)a, b);
        } else if (sscanf(line, "e %" SCNu64 " %u %d", &tick, &a, &c) == 3) {
            inb1_edge(&bridge, tick, (uint8_t)a, c != 0);
        } else if (sscanf(line, "x %u", &a) == 1) {
            inb1_edges_lost(&bridge, a);
        } else if (line[0] == 'c') {
            printf("crc %04x\n", inb1_crc16((const uint8_t *)"123456789", 9u));
        } else if (line[0] == 'z') {
            /* COBS over n bytes k, k + 1, ... without zeros but where 256 wraps. */
            static uint8_t in[2000];
            static uint8_t out[2100];
            const unsigned n = (unsigned)strtoul(&line[2], NULL, 10);
            for (unsigned k = 0u; k < n; k++) {
                in[k] = (uint8_t)(k + 1u);
            }
            write_bytes(out, inb1_cobs(in, n, out));
        } else {
            printf("?\n");
        }
    }
    return 0;
}
