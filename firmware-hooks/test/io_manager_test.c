/*
 * The IO manager as a filter: lines `h TEXT` (from the host), `d TEXT` (from the DUT; \n is a line end), `e US` (an edge),
 * `p` (poll). What goes to the DUT is printed as `>TEXT`, what the timer is told as `timer ON FALLING`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "im_core.h"

static void to_host(const char *text) { fputs(text, stdout); }
static void to_dut(const char *text) { printf(">%s\n", text); }
static void timer(bool is_on, bool is_falling_only) { printf("timer %d %d\n", is_on, is_falling_only); }

static void feed(im_t *im, void (*take)(im_t *im, char character), const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if ((at[0] == '\\') && (at[1] == 'n')) {
            take(im, '\n');
            at++;
        } else {
            take(im, *at);
        }
    }
}

int main(void)
{
    static const im_ports_t ports = {to_host, to_dut, timer};
    static char line[1024];
    static im_t im;
    im_init(&im, &ports);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        switch (line[0]) {
        case 'h':
            feed(&im, im_host, &line[2]);
            break;
        case 'd':
            feed(&im, im_dut, &line[2]);
            break;
        case 'e':
            im_edge(&im, (uint32_t)strtoul(&line[2], NULL, 10));
            break;
        default:
            im_poll(&im);
            break;
        }
    }
    /* Timer1 wraps every 65536 ticks; an overflow not counted yet belongs before a small capture only. */
    printf("extend %lu %lu %lu %lu\n", (unsigned long)im_extend(2u, 5u, false), (unsigned long)im_extend(2u, 5u, true),
           (unsigned long)im_extend(2u, 0xFFF0u, true), (unsigned long)im_extend(0xFFFFu, 0xFFFFu, false));
    return 0;
}
