#include "jm_monitor.h"

#define DEFAULT_WARMUPS 10
#define SHORTEST_CHIP_US 100
#define LONGEST_CHIP_US 1000000

static void say(const jm_monitor_t *monitor, const char *text)
{
    monitor->firmware->write(text);
}

static void say_number(const jm_monitor_t *monitor, const char *before, uint32_t value, const char *after)
{
    char digits[11];
    jm_monitor_decimal(value, digits);
    say(monitor, before);
    say(monitor, digits);
    say(monitor, after);
}

static void say_quoted(const jm_monitor_t *monitor, const char *before, const char *text, const char *after)
{
    say(monitor, before);
    say(monitor, text);
    say(monitor, after);
}

void jm_monitor_decimal(uint32_t value, char text[11])
{
    char reversed[10];
    uint32_t digits = 0u;
    uint32_t rest = value;
    do {
        reversed[digits] = (char)('0' + (int)(rest % 10u));
        rest /= 10u;
        digits++;
    } while (rest > 0u);
    for (uint32_t k = 0u; k < digits; k++) {
        text[k] = reversed[digits - 1u - k];
    }
    text[digits] = '\0';
}

static bool equal(const char *a, const char *b)
{
    uint32_t k = 0u;
    while ((a[k] != '\0') && (a[k] == b[k])) {
        k++;
    }
    return a[k] == b[k];
}

/* The next word of the command, ended by NUL in place; NULL where there is none. */
static char *next_word(char **rest)
{
    char *at = *rest;
    while (*at == ' ') {
        at++;
    }
    if (*at == '\0') {
        *rest = at;
        return NULL;
    }
    char *const word = at;
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

/* As C's atoi, but it stops at the largest int32_t instead of overflowing. */
static int32_t number_of(const char *text)
{
    const char *at = text;
    const bool is_negative = (*at == '-');
    if ((*at == '-') || (*at == '+')) {
        at++;
    }
    int32_t value = 0;
    while ((*at >= '0') && (*at <= '9')) {
        const int32_t digit = (int32_t)(*at - '0');
        value = (value > ((INT32_MAX - digit) / 10)) ? INT32_MAX : ((value * 10) + digit);
        at++;
    }
    return is_negative ? -value : value;
}

/* Value of a hexadecimal digit, or -1. */
static int32_t hex_value(char c)
{
    int32_t value = -1;
    if ((c >= '0') && (c <= '9')) {
        value = (int32_t)(c - '0');
    } else if ((c >= 'a') && (c <= 'f')) {
        value = 10 + (int32_t)(c - 'a');
    } else if ((c >= 'A') && (c <= 'F')) {
        value = 10 + (int32_t)(c - 'A');
    } else {
        /* No digit. */
    }
    return value;
}

static void db_load(jm_monitor_t *monitor, const char *size_text)
{
    if (size_text == NULL) {
        say(monitor, "e-[Command 'db load' requires the # of bytes]\r\n");
        return;
    }
    const int32_t size = number_of(size_text);
    if (size <= 0) {
        say(monitor, "e-[Command 'db load' must be >0 bytes]\r\n");
        return;
    }
    monitor->size = (uint32_t)size;
    monitor->position = 0u;
    if (monitor->size > monitor->firmware->capacity) {
        say_number(monitor, "Supplied buffer size ", monitor->size, " exceeds maximum of ");
        say_number(monitor, "", monitor->firmware->capacity, "\n");
    } else {
        say_number(monitor, "m-[Expecting ", monitor->size, " bytes]\r\n");
    }
}

static void db_print(const jm_monitor_t *monitor)
{
    static const char hex[] = "0123456789abcdef";
    const uint32_t capacity = monitor->firmware->capacity;
    const uint32_t size = (monitor->size < capacity) ? monitor->size : capacity;
    for (uint32_t k = 0u; k < size; k++) {
        const uint8_t byte = monitor->firmware->buffer[k];
        const char digits[3] = {hex[byte >> 4], hex[byte & 15u], '\0'};
        say(monitor, ((k % 8u) == 0u) ? "m-buffer-" : "-");
        say(monitor, digits);
        if (((k % 8u) == 7u) || ((k + 1u) == size)) {
            say(monitor, "\r\n");
        }
    }
    if ((size % 8u) != 0u) {
        say(monitor, "\r\n");
    }
}

static void db_bytes(jm_monitor_t *monitor, const char *digits)
{
    uint32_t length = 0u;
    while (digits[length] != '\0') {
        length++;
    }
    if ((length % 2u) != 0u) {
        say(monitor, "e-[Insufficent number of hex digits]\r\n");
        return;
    }
    for (const char *at = digits; *at != '\0'; at += 2) {
        const int32_t high = hex_value(at[0]);
        const int32_t low = hex_value(at[1]);
        if ((high < 0) || (low < 0)) {
            const char pair[3] = {at[0], at[1], '\0'};
            say_quoted(monitor, "e-[Invalid hex digit '", pair, "']\r\n");
            return;
        }
        if (monitor->position < monitor->size) {
            if (monitor->position < monitor->firmware->capacity) {
                monitor->firmware->buffer[monitor->position] = (uint8_t)((high * 16) + low);
            }
            monitor->position++;
            if (monitor->position == monitor->size) {
                say(monitor, "m-load-done\r\n");
            }
        }
    }
}

static void db_command(jm_monitor_t *monitor, char *arguments)
{
    char *rest = arguments;
    const char *const word = next_word(&rest);
    if (word == NULL) {
        say(monitor, "e-[Command 'db' requires a subcommand]\r\n");
    } else if (equal(word, "load")) {
        db_load(monitor, next_word(&rest));
    } else if (equal(word, "print")) {
        db_print(monitor);
    } else {
        db_bytes(monitor, word);
    }
}

static void infer_command(const jm_monitor_t *monitor, char *arguments)
{
    const jm_monitor_firmware_t *const firmware = monitor->firmware;
    char *rest = arguments;
    const char *const inferences_text = next_word(&rest);
    const char *const warmups_text = next_word(&rest);
    const int32_t inferences = (inferences_text == NULL) ? 1 : number_of(inferences_text);
    const int32_t warmups = (warmups_text == NULL) ? DEFAULT_WARMUPS : number_of(warmups_text);
    if (inferences <= 0) {
        say(monitor, "e-[Inference iterations must be >0]\r\n");
        return;
    }
    if (warmups < 0) {
        say(monitor, "e-[Inference warmup must be >=0]\r\n");
        return;
    }
    const uint32_t capacity = firmware->capacity;
    firmware->load_tensor(firmware->buffer, (monitor->position < capacity) ? monitor->position : capacity);
    say_number(monitor, "m-warmup-start-", (uint32_t)warmups, "\r\n");
    firmware->warmup_begin();
    for (int32_t k = 0; k < warmups; k++) {
        firmware->infer();
    }
    firmware->warmup_end();
    say(monitor, "m-warmup-done\r\n");
    say_number(monitor, "m-infer-start-", (uint32_t)inferences, "\r\n");
    firmware->timestamp();
    firmware->pre();
    for (int32_t k = 0; k < inferences; k++) {
        firmware->infer();
    }
    firmware->post();
    firmware->timestamp();
    say(monitor, "m-infer-done\r\n");
    firmware->results();
}

/* An extension of the protocol: `sync ORDER CHIP_US` plays the coded pattern once. */
static void sync_command(const jm_monitor_t *monitor, char *arguments)
{
    char *rest = arguments;
    const char *const order_text = next_word(&rest);
    const char *const chip_text = next_word(&rest);
    const int32_t order = (order_text == NULL) ? 0 : number_of(order_text);
    const int32_t chip_us = (chip_text == NULL) ? 0 : number_of(chip_text);
    if ((order != 7) && (order != 9) && (order != 10) && (order != 11)) {
        say(monitor, "e-[Sync order must be 7, 9, 10 or 11]\r\n");
        return;
    }
    if ((chip_us < SHORTEST_CHIP_US) || (chip_us > LONGEST_CHIP_US)) {
        say(monitor, "e-[Sync chips must last 100 to 1000000 us]\r\n");
        return;
    }
    say_number(monitor, "m-sync-start-", (uint32_t)order, "-");
    say_number(monitor, "", (uint32_t)chip_us, "\r\n");
    if (monitor->firmware->sync((uint32_t)order, (uint32_t)chip_us)) {
        say(monitor, "m-sync-done\r\n");
    } else {
        say(monitor, "e-[The sync pattern was not played]\r\n");
    }
}

static void help_command(const jm_monitor_t *monitor)
{
    say(monitor, "name           Print the name of the device\r\n"
                 "timestamp      Make a timestamp\r\n"
                 "profile        Print the profile and the model\r\n"
                 "results        Print the results of the last inference\r\n"
                 "db load N      Expect N bytes of input\r\n"
                 "db HH[HH]*     Bytes of input in hexadecimal\r\n"
                 "db print       Print the input\r\n"
                 "infer N [W=10] Warm up W times, then infer N times\r\n");
    if (monitor->firmware->sync != NULL) {
        say(monitor, "sync ORDER US  Play the sync pattern of 2^ORDER - 1 chips\r\n");
    }
}

static void carry_out(jm_monitor_t *monitor)
{
    const jm_monitor_firmware_t *const firmware = monitor->firmware;
    char *rest = monitor->command;
    const char *const found = next_word(&rest);
    const char *const word = (found == NULL) ? "" : found;
    if (equal(word, "name")) {
        say_quoted(monitor, "m-name-dut-[", firmware->name, "]\r\n");
    } else if (equal(word, "timestamp")) {
        firmware->timestamp();
    } else if (equal(word, "profile")) {
        say(monitor, "m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\n");
        say_quoted(monitor, "m-model-[", firmware->model, "]\r\n");
    } else if (equal(word, "help")) {
        help_command(monitor);
    } else if (equal(word, "results")) {
        firmware->results();
    } else if (equal(word, "db")) {
        db_command(monitor, rest);
    } else if (equal(word, "infer")) {
        infer_command(monitor, rest);
    } else if (equal(word, "sync") && (firmware->sync != NULL)) {
        sync_command(monitor, rest);
    } else {
        say_quoted(monitor, "e-[Unknown command: ", word, "]\r\n");
    }
    say(monitor, "m-ready\r\n");
}

void jm_monitor_start(jm_monitor_t *monitor, const jm_monitor_firmware_t *firmware)
{
    monitor->firmware = firmware;
    monitor->size = 0u;
    monitor->position = 0u;
    monitor->length = 0u;
    say(monitor, "m-init-done\r\nm-ready\r\n");
}

void jm_monitor_receive(jm_monitor_t *monitor, char character)
{
    if (character == '%') {
        monitor->command[monitor->length] = '\0';
        monitor->length = 0u;
        carry_out(monitor);
    } else if (monitor->length < JM_MONITOR_COMMAND_LENGTH) {
        monitor->command[monitor->length] = character;
        monitor->length++;
    } else {
        /* The protocol keeps 80 characters. */
    }
}
