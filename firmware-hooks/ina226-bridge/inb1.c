#include "inb1.h"

typedef struct {
    uint8_t bytes[INB1_FRAME_LENGTH];
    uint32_t n;
} frame_t;

enum { HELLO = 1, SAMPLES = 2, EDGE = 3, OVERRUN = 4, SYNC_REPLY = 5, LOG = 6 };

uint16_t inb1_crc16(const uint8_t *bytes, uint32_t n)
{
    uint16_t crc = 0xFFFFu;
    for (uint32_t k = 0u; k < n; k++) {
        crc = (uint16_t)(crc ^ (uint16_t)((uint16_t)bytes[k] << 8));
        for (uint32_t bit = 0u; bit < 8u; bit++) {
            const bool is_high = (crc & 0x8000u) != 0u;
            crc = (uint16_t)(crc << 1);
            if (is_high) {
                crc = (uint16_t)(crc ^ 0x1021u);
            }
        }
    }
    return crc;
}

uint32_t inb1_cobs(const uint8_t *bytes, uint32_t n, uint8_t *out)
{
    uint32_t code_at = 0u;
    uint32_t at = 1u;
    uint8_t code = 1u;
    for (uint32_t k = 0u; k < n; k++) {
        if (bytes[k] != 0u) {
            out[at] = bytes[k];
            at++;
            code++;
        }
        if ((bytes[k] == 0u) || ((code == 0xFFu) && ((k + 1u) < n))) {
            out[code_at] = code;
            code_at = at;
            at++;
            code = 1u;
        }
    }
    out[code_at] = code;
    out[at] = 0u;
    return at + 1u;
}

static void put(frame_t *frame, uint64_t value, uint32_t bytes)
{
    for (uint32_t k = 0u; k < bytes; k++) {
        frame->bytes[frame->n] = (uint8_t)(value >> (8u * k));
        frame->n++;
    }
}

static void begin(frame_t *frame, uint8_t type)
{
    frame->n = 0u;
    put(frame, type, 1u);
}

static void send(const inb1_t *bridge, frame_t *frame)
{
    uint8_t stuffed[INB1_FRAME_LENGTH + (INB1_FRAME_LENGTH / 254u) + 2u];
    put(frame, inb1_crc16(frame->bytes, frame->n), 2u);
    bridge->board->write(stuffed, inb1_cobs(frame->bytes, frame->n, stuffed));
}

/* A line under way: text that is cut where it does not fit. */
typedef struct {
    char text[INB1_FRAME_LENGTH - 4u];
    uint32_t n;
} line_t;

static void add(line_t *line, const char *text)
{
    for (const char *at = text; (*at != '\0') && (line->n < sizeof line->text); at++) {
        line->text[line->n] = *at;
        line->n++;
    }
}

static void add_number(line_t *line, uint64_t value, uint32_t base, uint32_t digits)
{
    static const char symbols[] = "0123456789abcdef";
    char reversed[21];
    uint32_t n = 0u;
    uint64_t rest = value;
    do {
        reversed[n] = symbols[rest % base];
        rest /= base;
        n++;
    } while ((rest > 0u) || (n < digits));
    while (n > 0u) {
        n--;
        const char one[2] = {reversed[n], '\0'};
        add(line, one);
    }
}

static void say(const inb1_t *bridge, const line_t *line)
{
    if (bridge->is_binary) {
        frame_t frame;
        begin(&frame, LOG);
        for (uint32_t k = 0u; k < line->n; k++) {
            put(&frame, (uint8_t)line->text[k], 1u);
        }
        send(bridge, &frame);
    } else {
        static const uint8_t end[] = {'\n'};
        bridge->board->write((const uint8_t *)line->text, line->n);
        bridge->board->write(end, 1u);
    }
}

static void say_ok(const inb1_t *bridge, const char *command)
{
    line_t line = {.n = 0u};
    add(&line, "ok ");
    add(&line, command);
    say(bridge, &line);
}

static void say_error(const inb1_t *bridge, const char *command, uint32_t code, const char *text)
{
    line_t line = {.n = 0u};
    add(&line, "err ");
    add(&line, command);
    add(&line, " ");
    add_number(&line, code, 10u, 1u);
    add(&line, " ");
    add(&line, text);
    say(bridge, &line);
}

bool inb1_is_ina228(const inb1_chip_t *chip)
{
    return (chip->die & 0xFFF0u) == 0x2280u;
}

uint32_t inb1_period_us(const inb1_chip_t *chip)
{
    static const uint16_t averages[8] = {1u, 4u, 16u, 64u, 128u, 256u, 512u, 1024u};
    static const uint16_t times_226[8] = {140u, 204u, 332u, 588u, 1100u, 2116u, 4156u, 8244u};
    static const uint16_t times_228[8] = {50u, 84u, 150u, 280u, 540u, 1052u, 2074u, 4120u};
    if (!inb1_is_ina228(chip)) {
        const uint32_t both = (uint32_t)times_226[(chip->config >> 6) & 7u] + times_226[(chip->config >> 3) & 7u];
        return both * averages[(chip->config >> 9) & 7u];
    }
    const uint16_t adc = chip->adc_config;
    uint32_t sum = 0u;
    if ((adc & 0x1000u) != 0u) {
        sum += times_228[(adc >> 9) & 7u];
    }
    if ((adc & 0x2000u) != 0u) {
        sum += times_228[(adc >> 6) & 7u];
    }
    if ((adc & 0x4000u) != 0u) {
        sum += times_228[(adc >> 3) & 7u];
    }
    return sum * averages[adc & 7u];
}

static void hello(const inb1_t *bridge)
{
    frame_t frame;
    begin(&frame, HELLO);
    put(&frame, 1u, 1u);
    put(&frame, 1000000u, 4u);
    put(&frame, bridge->chips, 1u);
    for (uint8_t k = 0u; k < bridge->chips; k++) {
        union {
            float number;
            uint32_t bits;
        } shunt = {.number = bridge->chip[k].shunt_ohm};
        put(&frame, k, 1u);
        put(&frame, inb1_is_ina228(&bridge->chip[k]) ? 0x28u : 0x26u, 1u);
        put(&frame, bridge->chip[k].config, 2u);
        put(&frame, shunt.bits, 4u);
    }
    send(bridge, &frame);
}

static void flush_samples(inb1_t *bridge, uint8_t chip)
{
    inb1_samples_t *const held = &bridge->samples[chip];
    if (held->n == 0u) {
        return;
    }
    const uint32_t code_bytes = inb1_is_ina228(&bridge->chip[chip]) ? 4u : 2u;
    frame_t frame;
    begin(&frame, SAMPLES);
    put(&frame, chip, 1u);
    put(&frame, held->sequence, 4u);
    put(&frame, held->first_tick, 8u);
    put(&frame, inb1_period_us(&bridge->chip[chip]), 4u);
    put(&frame, held->n, 1u);
    for (uint32_t k = 0u; k < held->n; k++) {
        put(&frame, held->dt[k], 2u);
        put(&frame, (uint32_t)held->shunt[k], code_bytes);
        put(&frame, (uint32_t)held->bus[k], code_bytes);
    }
    send(bridge, &frame);
    held->sequence += held->n;
    held->n = 0u;
}

void inb1_sample(inb1_t *bridge, uint8_t chip, uint64_t tick, int32_t shunt, int32_t bus)
{
    if (!bridge->is_running || !bridge->is_binary || (chip >= bridge->chips)) {
        return;
    }
    inb1_samples_t *const held = &bridge->samples[chip];
    /* A longer pause does not fit into 16 bits: the frame begins anew, with its own first tick. */
    if ((held->n > 0u) && ((tick - held->last_tick) > 0xFFFFu)) {
        flush_samples(bridge, chip);
    }
    if (held->n == 0u) {
        held->first_tick = tick;
        held->dt[0] = 0u;
    } else {
        held->dt[held->n] = (uint16_t)(tick - held->last_tick);
    }
    held->shunt[held->n] = shunt;
    held->bus[held->n] = bus;
    held->last_tick = tick;
    held->n++;
    if (held->n == INB1_MAX_SAMPLES) {
        flush_samples(bridge, chip);
    }
}

void inb1_lost(inb1_t *bridge, uint8_t chip, uint32_t count)
{
    if (!bridge->is_running || !bridge->is_binary || (chip >= bridge->chips)) {
        return;
    }
    flush_samples(bridge, chip);
    bridge->samples[chip].lost += count;
    /* The numbers of the lost samples are left out, so that the gap shows in the sequence. */
    bridge->samples[chip].sequence += count;
    frame_t frame;
    begin(&frame, OVERRUN);
    put(&frame, chip, 1u);
    put(&frame, bridge->samples[chip].lost, 4u);
    send(bridge, &frame);
}

void inb1_edge(inb1_t *bridge, uint64_t tick, uint8_t line, bool is_high)
{
    if (!bridge->is_running || !bridge->is_binary) {
        return;
    }
    frame_t frame;
    begin(&frame, EDGE);
    put(&frame, tick, 8u);
    put(&frame, line, 1u);
    put(&frame, is_high ? 1u : 0u, 1u);
    put(&frame, bridge->edges, 4u);
    bridge->edges++;
    send(bridge, &frame);
}

void inb1_edges_lost(inb1_t *bridge, uint32_t count)
{
    bridge->edges += count;
}

static bool equal(const char *a, const char *b)
{
    uint32_t k = 0u;
    while ((a[k] != '\0') && (a[k] == b[k])) {
        k++;
    }
    return a[k] == b[k];
}

static const char *next_word(char **rest)
{
    char *at = *rest;
    while (*at == ' ') {
        at++;
    }
    const char *const word = at;
    while ((*at != ' ') && (*at != '\0')) {
        at++;
    }
    if (*at == ' ') {
        *at = '\0';
        at++;
    }
    *rest = at;
    return word;
}

/* Digits of `base` (an optional 0x before hexadecimal ones), at most `most`. */
static bool read_number(const char *text, uint32_t base, uint32_t most, uint32_t *value)
{
    const char *at = text;
    if ((base == 16u) && (at[0] == '0') && ((at[1] == 'x') || (at[1] == 'X'))) {
        at = &at[2];
    }
    if (*at == '\0') {
        return false;
    }
    uint64_t sum = 0u;
    for (; *at != '\0'; at++) {
        uint32_t digit = 16u;
        if ((*at >= '0') && (*at <= '9')) {
            digit = (uint32_t)(*at - '0');
        } else if ((*at >= 'a') && (*at <= 'f')) {
            digit = 10u + (uint32_t)(*at - 'a');
        } else if ((*at >= 'A') && (*at <= 'F')) {
            digit = 10u + (uint32_t)(*at - 'A');
        } else {
            /* No digit. */
        }
        sum = (sum * base) + digit;
        if ((digit >= base) || (sum > most)) {
            return false;
        }
    }
    *value = (uint32_t)sum;
    return true;
}

/* A positive decimal like 0.1; no exponent. */
static bool read_ohm(const char *text, float *value)
{
    double sum = 0.0;
    double place = 0.0;
    uint32_t digits = 0u;
    for (const char *at = text; *at != '\0'; at++) {
        if ((*at == '.') && (place == 0.0)) {
            place = 1.0;
        } else if ((*at >= '0') && (*at <= '9') && (digits < 9u)) {
            sum = (sum * 10.0) + (double)(*at - '0');
            place *= 10.0;
            digits++;
        } else {
            return false;
        }
    }
    *value = (float)((place > 0.0) ? (sum / place) : sum);
    return (digits > 0u) && (sum > 0.0);
}

static bool read_chip(const inb1_t *bridge, char **rest, uint32_t *chip)
{
    return read_number(next_word(rest), 10u, 255u, chip) && (*chip < bridge->chips);
}

static void id_command(const inb1_t *bridge)
{
    line_t line = {.n = 0u};
    add(&line, "INB1 v=1 fw=");
    add(&line, bridge->board->firmware);
    add(&line, " sn=");
    add(&line, bridge->board->serial_hex);
    add(&line, " tick=1000000 chips=");
    add_number(&line, bridge->chips, 10u, 1u);
    say(bridge, &line);
}

static void scan_command(const inb1_t *bridge)
{
    for (uint8_t k = 0u; k < bridge->chips; k++) {
        line_t line = {.n = 0u};
        add(&line, "chip ");
        add_number(&line, k, 10u, 1u);
        add(&line, " addr=0x");
        add_number(&line, bridge->chip[k].address, 16u, 2u);
        add(&line, " id=0x");
        add_number(&line, bridge->chip[k].die, 16u, 4u);
        say(bridge, &line);
    }
}

static void sync_reply(const inb1_t *bridge, uint32_t token)
{
    const uint64_t tick = bridge->board->now_us();
    if (bridge->is_binary) {
        frame_t frame;
        begin(&frame, SYNC_REPLY);
        put(&frame, token, 4u);
        put(&frame, tick, 8u);
        send(bridge, &frame);
    } else {
        line_t line = {.n = 0u};
        add(&line, "sync ");
        add_number(&line, token, 10u, 1u);
        add(&line, " ");
        add_number(&line, tick, 10u, 1u);
        say(bridge, &line);
    }
}

static void set_running(inb1_t *bridge, bool is_running)
{
    for (uint8_t k = 0u; k < bridge->chips; k++) {
        if (bridge->is_running) {
            flush_samples(bridge, k);
        }
        bridge->samples[k].n = 0u;
        if (is_running) {
            bridge->samples[k].sequence = 0u;
            bridge->samples[k].lost = 0u;
        }
    }
    if (is_running) {
        bridge->edges = 0u;
        if (bridge->is_binary) {
            hello(bridge);
        }
    }
    bridge->is_running = is_running;
    bridge->board->run(is_running);
}

/* Why the configuration is refused, or NULL where it was written. */
static const char *cfg_command(inb1_t *bridge, char *rest)
{
    char *arguments = rest;
    uint32_t number = 0u;
    uint32_t config = 0u;
    uint32_t adc_config = 0u;
    if (bridge->is_running) {
        return "stop first";
    }
    if (!read_chip(bridge, &arguments, &number) || !read_number(next_word(&arguments), 16u, 0xFFFFu, &config)) {
        return "cfg <chip> <hex16>";
    }
    inb1_chip_t *const chip = &bridge->chip[number];
    if (inb1_is_ina228(chip) && !read_number(next_word(&arguments), 16u, 0xFFFFu, &adc_config)) {
        return "cfg <chip> <hex16> <hex16>";
    }
    if (!bridge->board->configure((uint8_t)number, (uint16_t)config, (uint16_t)adc_config)) {
        return "the chip does not answer";
    }
    chip->config = (uint16_t)config;
    chip->adc_config = (uint16_t)adc_config;
    return (const char *)0;
}

/* Why a command is refused, or NULL where it was carried out. */
static const char *carry_out(inb1_t *bridge, const char *word, char *rest)
{
    const char *problem = (const char *)0;
    uint32_t chip = 0u;
    uint32_t value = 0u;
    char *arguments = rest;
    if (equal(word, "id")) {
        id_command(bridge);
    } else if (equal(word, "scan")) {
        scan_command(bridge);
    } else if (equal(word, "shunt")) {
        float ohm = 0.0f;
        if (read_chip(bridge, &arguments, &chip) && read_ohm(next_word(&arguments), &ohm)) {
            bridge->chip[chip].shunt_ohm = ohm;
        } else {
            problem = "shunt <chip> <ohm>";
        }
    } else if (equal(word, "cfg")) {
        problem = cfg_command(bridge, rest);
    } else if (equal(word, "gpio")) {
        const bool has_mask = read_number(next_word(&arguments), 10u, 255u, &value);
        const char *const which = next_word(&arguments);
        if (has_mask && equal(which, "rise")) {
            bridge->board->lines((uint8_t)value, INB1_RISE);
        } else if (has_mask && equal(which, "fall")) {
            bridge->board->lines((uint8_t)value, INB1_FALL);
        } else if (has_mask && equal(which, "both")) {
            bridge->board->lines((uint8_t)value, INB1_BOTH);
        } else {
            problem = "gpio <mask> <rise|fall|both>";
        }
    } else if (equal(word, "bin")) {
        /* The answer is still text: the host knows that frames follow it. */
    } else if (equal(word, "start")) {
        set_running(bridge, true);
    } else if (equal(word, "stop")) {
        set_running(bridge, false);
    } else if (equal(word, "sync")) {
        if (read_number(next_word(&arguments), 10u, 0xFFFFFFFFu, &value)) {
            sync_reply(bridge, value);
        } else {
            problem = "sync <u32>";
        }
    } else {
        problem = "unknown command";
    }
    return problem;
}

void inb1_init(inb1_t *bridge, const inb1_board_t *board, const inb1_chip_t *chips, uint8_t count)
{
    bridge->board = board;
    bridge->is_binary = false;
    bridge->is_running = false;
    bridge->chips = (count > INB1_MAX_CHIPS) ? (uint8_t)INB1_MAX_CHIPS : count;
    for (uint8_t k = 0u; k < bridge->chips; k++) {
        bridge->chip[k] = chips[k];
        bridge->samples[k].n = 0u;
        bridge->samples[k].sequence = 0u;
        bridge->samples[k].lost = 0u;
    }
    bridge->edges = 0u;
    bridge->length = 0u;
    bridge->is_too_long = false;
}

void inb1_receive(inb1_t *bridge, char character)
{
    if (character == '\n') {
        bridge->line[bridge->length] = '\0';
        char *rest = bridge->line;
        const char *const word = next_word(&rest);
        if (bridge->is_too_long) {
            say_error(bridge, word, 2u, "the line is too long");
        } else if (*word != '\0') {
            const char *const problem = carry_out(bridge, word, rest);
            if (problem == (const char *)0) {
                say_ok(bridge, word);
                if (equal(word, "bin") && !bridge->is_binary) {
                    bridge->is_binary = true;
                    if (bridge->is_running) {
                        hello(bridge);
                    }
                }
            } else {
                say_error(bridge, word, 1u, problem);
            }
        } else {
            /* An empty line asks nothing. */
        }
        bridge->length = 0u;
        bridge->is_too_long = false;
    } else if (character != '\r') {
        if (bridge->length < INB1_LINE_LENGTH) {
            bridge->line[bridge->length] = character;
            bridge->length++;
        } else {
            bridge->is_too_long = true;
        }
    } else {
        /* Terminals send it before the line feed. */
    }
}
