/*
 * INB1: samples of INA226 and INA228 chips and edges of GPIO lines over a serial port. The host sends text lines; the bridge answers
 * in text lines until it is told `bin`, from then on in frames: COBS, each ended by 0x00; inside `type, body, crc16`
 * (CRC-16/CCITT-FALSE, little-endian, over type and body). All numbers are little-endian. Answers to commands are then
 * LOG frames with the same text.
 *
 *   id                       INB1 v=1 fw=<text> sn=<hex> tick=1000000 chips=<n>
 *   scan                     chip <k> addr=0x40 id=0x2260      a line a chip
 *   shunt <k> <ohm>          as decimal, for HELLO
 *   cfg <k> <hex16>          configuration register of an INA226
 *   cfg <k> <hex16> <hex16>  CONFIG and ADC_CONFIG of an INA228
 *   gpio <mask> <rise|fall|both>
 *   bin, start, stop
 *   sync <u32>               answered by SYNC_REPLY (text: `sync <token> <tick>`)
 *
 * Each command ends with `ok <command>` or `err <command> <code> <text>`.
 */
#ifndef INB1_H
#define INB1_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INB1_MAX_CHIPS 4u
#define INB1_MAX_SAMPLES 16u
#define INB1_LINE_LENGTH 48u
/* Longest frame before COBS: type, SAMPLES head, samples of an INA228, CRC. */
#define INB1_FRAME_LENGTH (1u + 19u + (10u * INB1_MAX_SAMPLES) + 2u)

typedef struct {
    uint8_t address;     /* I2C address */
    uint16_t die;        /* register 0xFF of an INA226, 0x3F of an INA228 */
    uint16_t config;     /* register 0x00 as set */
    uint16_t adc_config; /* register 0x01 of an INA228 as set; 0 for an INA226 */
    float shunt_ohm;
} inb1_chip_t;

/* What a chip is, by its die number: samples of an INA228 have 32 bits a code, others 16. */
bool inb1_is_ina228(const inb1_chip_t *chip);

typedef enum { INB1_RISE = 1, INB1_FALL = 2, INB1_BOTH = 3 } inb1_edges_t;

/* What the bridge asks of the board. */
typedef struct {
    const char *firmware;
    const char *serial_hex;
    void (*write)(const uint8_t *bytes, uint32_t n);
    uint64_t (*now_us)(void);
    /* Writes register 0x00, and of an INA228 register 0x01; false where the chip does not answer. */
    bool (*configure)(uint8_t chip, uint16_t config, uint16_t adc_config);
    void (*lines)(uint8_t mask, inb1_edges_t edges);
    void (*run)(bool is_running);
} inb1_board_t;

typedef struct {
    uint32_t sequence; /* number of the first sample in the frame under way */
    uint32_t lost;
    uint64_t first_tick;
    uint64_t last_tick;
    uint8_t n;
    uint16_t dt[INB1_MAX_SAMPLES];
    int32_t shunt[INB1_MAX_SAMPLES];
    int32_t bus[INB1_MAX_SAMPLES];
} inb1_samples_t;

typedef struct {
    const inb1_board_t *board;
    bool is_binary;
    bool is_running;
    uint8_t chips;
    inb1_chip_t chip[INB1_MAX_CHIPS];
    inb1_samples_t samples[INB1_MAX_CHIPS];
    uint32_t edges;
    uint32_t length;
    bool is_too_long;
    char line[INB1_LINE_LENGTH + 1u];
} inb1_t;

/* `chips` chips were found at start-up, their addresses and die ids filled in. */
void inb1_init(inb1_t *bridge, const inb1_board_t *board, const inb1_chip_t *chips, uint8_t count);

/* One character from the host. */
void inb1_receive(inb1_t *bridge, char character);

/* One conversion of a chip (codes with their sign), stamped when its ALERT fell. Full frames are sent by themselves. */
void inb1_sample(inb1_t *bridge, uint8_t chip, uint64_t tick, int32_t shunt, int32_t bus);

/* Conversions that could not be read. */
void inb1_lost(inb1_t *bridge, uint8_t chip, uint32_t count);

/* One edge of a line, stamped on the same clock. */
void inb1_edge(inb1_t *bridge, uint64_t tick, uint8_t line, bool is_high);

/* Edges that were not stamped: their numbers are left out. */
void inb1_edges_lost(inb1_t *bridge, uint32_t count);

/* Nominal time between two results of a chip with its configuration, in us (data sheet, typical). */
uint32_t inb1_period_us(const inb1_chip_t *chip);

uint16_t inb1_crc16(const uint8_t *bytes, uint32_t n);

/* Consistent overhead byte stuffing with its final 0x00. `out` holds n + n / 254 + 2 bytes. @returns their number. */
uint32_t inb1_cobs(const uint8_t *bytes, uint32_t n, uint8_t *out);

#ifdef __cplusplus
}
#endif

#endif
