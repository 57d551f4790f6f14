#include "im_core.h"

static bool equal(const char *a, const char *b)
{
    uint32_t k = 0u;
    while ((a[k] != '\0') && (a[k] == b[k])) {
        k++;
    }
    return a[k] == b[k];
}

/* What follows `word` and a space, or NULL where the command is another one. */
static const char *after(const char *command, const char *word)
{
    uint32_t k = 0u;
    while ((word[k] != '\0') && (command[k] == word[k])) {
        k++;
    }
    return ((word[k] == '\0') && (command[k] == ' ')) ? &command[k + 1u] : (const char *)0;
}

static void say(const im_t *im, const char *text)
{
    im->ports->to_host(text);
}

static void say_number(const im_t *im, const char *before, uint32_t number, const char *behind)
{
    char digits[11];
    uint32_t at = 10u;
    uint32_t rest = number;
    digits[10] = '\0';
    do {
        at--;
        digits[at] = (char)('0' + (int)(rest % 10u));
        rest /= 10u;
    } while (rest > 0u);
    say(im, before);
    say(im, &digits[at]);
    say(im, behind);
}

static void set_timer(im_t *im, bool is_on)
{
    im->is_timer_on = is_on;
    im->ports->timer(is_on, im->is_falling_only);
}

static void pass_through(im_t *im, const char *command)
{
    say(im, "m-dut-passthrough(");
    say(im, command);
    say(im, ")\r\nm-ready\r\n");
    im->ports->to_dut(command);
    im->ports->to_dut("%");
}

static void timer_mode(im_t *im, const char *argument)
{
    im->is_falling_only = equal(argument, "0");
    set_timer(im, false);
    say(im, im->is_falling_only ? "m-timestmp-mode-FALLING\r\n" : "m-timestmp-mode-CHANGE\r\n");
    say(im, "m-[Timer disabled after mode change]\r\n");
}

static void carry_out(im_t *im)
{
    const char *const command = im->command;
    const char *const dut_command = after(command, "dut");
    const char *const mode = after(command, "tm");
    if (dut_command != (const char *)0) {
        pass_through(im, dut_command);
        return;
    }
    if (mode != (const char *)0) {
        timer_mode(im, mode);
    } else if (equal(command, "tm")) {
        timer_mode(im, "1");
    } else if (equal(command, "enable-timer") || equal(command, "et")) {
        set_timer(im, true);
        say(im, "m-timer-enabled\r\n");
    } else if (equal(command, "disable-timer")) {
        set_timer(im, false);
        say(im, "m-timer-disabled\r\n");
    } else if (equal(command, "name")) {
        say(im, "Joulemark IO manager\r\n");
    } else if (equal(command, "version")) {
        say(im, "m-version[1.0.0]\r\n");
    } else if (equal(command, "help")) {
        say(im, "dut X, tm [0 = falling, 1 = both], enable-timer, et, disable-timer, name, version\r\n");
    } else {
        say(im, "e-[Unknown command: ");
        say(im, command);
        say(im, "]\r\n");
    }
    say(im, "m-ready\r\n");
}

void im_init(im_t *im, const im_ports_t *ports)
{
    im->ports = ports;
    im->is_falling_only = false;
    im->is_timer_on = false;
    im->is_inside_line = false;
    im->command_length = 0u;
    im->line_length = 0u;
    im->head = 0u;
    im->tail = 0u;
    im->lost = 0u;
    im->told = 0u;
}

void im_host(im_t *im, char character)
{
    if (character == '%') {
        im->command[im->command_length] = '\0';
        im->command_length = 0u;
        carry_out(im);
    } else if (im->command_length < IM_COMMAND_LENGTH) {
        im->command[im->command_length] = character;
        im->command_length++;
    } else {
        /* The DUT would not keep it either. */
    }
}

static void flush_line(im_t *im)
{
    im->line[im->line_length] = '\0';
    if (!im->is_inside_line) {
        say(im, "[dut]: ");
    }
    say(im, im->line);
    im->line_length = 0u;
}

void im_dut(im_t *im, char character)
{
    if (character == '\n') {
        flush_line(im);
        say(im, "\r\n");
        im->is_inside_line = false;
    } else if (character != '\r') {
        if (im->line_length == IM_LINE_LENGTH) {
            flush_line(im);
            im->is_inside_line = true;
        }
        im->line[im->line_length] = character;
        im->line_length++;
    } else {
        /* The line end is written anew. */
    }
}

void im_edge(im_t *im, uint32_t time_us)
{
    const uint8_t next = (uint8_t)((im->head + 1u) % IM_QUEUE_LENGTH);
    if (!im->is_timer_on) {
        return;
    }
    if (next == im->tail) {
        im->lost = im->lost + 1u;
        return;
    }
    im->times_us[im->head] = time_us;
    im->head = next;
}

void im_poll(im_t *im)
{
    if (im->is_inside_line) {
        return;
    }
    while (im->tail != im->head) {
        say_number(im, "m-lap-us-", im->times_us[im->tail], "\r\n");
        im->tail = (uint8_t)((im->tail + 1u) % IM_QUEUE_LENGTH);
    }
    const uint32_t lost = im->lost;
    if (lost != im->told) {
        say_number(im, "e-[Lost ", lost - im->told, " timestamps]\r\n");
        im->told = lost;
    }
}

uint32_t im_extend(uint16_t overflows, uint16_t captured, bool is_overflow_pending)
{
    const bool is_after = is_overflow_pending && (captured < 0x8000u);
    return ((uint32_t)overflows << 16) + (is_after ? 0x10000u : 0u) + captured;
}
