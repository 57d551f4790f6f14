/*
 * The IO manager as a program of this machine, between two pseudo-terminals: prints the paths of the host's and the DUT's port,
 * and takes edges from standard input, microseconds a line. Ends with standard input.
 */
#define _XOPEN_SOURCE 600

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "im_core.h"

static int host = -1;
static int dut = -1;
static im_t im;

/* The slave stays open: without one the master fails as soon as a program closes the port. */
static int open_port(void)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    struct termios raw;
    int slave;
    if ((master < 0) || (grantpt(master) != 0) || (unlockpt(master) != 0)) {
        exit(2);
    }
    printf("%s\n", ptsname(master));
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if ((slave < 0) || (tcgetattr(slave, &raw) != 0)) {
        exit(2);
    }
    raw.c_iflag = 0;
    raw.c_oflag = 0;
    raw.c_lflag = 0;
    raw.c_cflag = CS8 | CREAD | CLOCAL;
    if (tcsetattr(slave, TCSANOW, &raw) != 0) {
        exit(2);
    }
    return master;
}

static void put(int port, const char *text)
{
    size_t left = strlen(text);
    while (left > 0u) {
        const ssize_t written = write(port, text, left);
        if (written <= 0) {
            exit(2);
        }
        text += written;
        left -= (size_t)written;
    }
}

static void to_host(const char *text) { put(host, text); }
static void to_dut(const char *text) { put(dut, text); }
static void timer(bool is_on, bool is_falling_only)
{
    (void)is_on;
    (void)is_falling_only;
}

/* Edges of one line each; a falling one is `f`, a rising one `r`. */
static void take_edges(const char *bytes, size_t n)
{
    static char line[32];
    static size_t length = 0u;
    for (size_t k = 0u; k < n; k++) {
        if (bytes[k] != '\n') {
            if (length < sizeof line - 1u) {
                line[length] = bytes[k];
                length++;
            }
            continue;
        }
        line[length] = '\0';
        length = 0u;
        if ((line[0] == 'f') || !im.is_falling_only) {
            im_edge(&im, (uint32_t)strtoul(&line[1], NULL, 10));
        }
    }
}

int main(void)
{
    static const im_ports_t ports = {to_host, to_dut, timer};
    char bytes[256];
    host = open_port();
    dut = open_port();
    fflush(stdout);
    im_init(&im, &ports);
    for (;;) {
        struct pollfd wait[3] = {{0, POLLIN, 0}, {0, POLLIN, 0}, {0, POLLIN, 0}};
        wait[1].fd = host;
        wait[2].fd = dut;
        if (poll(wait, 3, -1) < 0) {
            return 2;
        }
        if (wait[0].revents != 0) {
            const ssize_t n = read(0, bytes, sizeof bytes);
            if (n <= 0) {
                return 0;
            }
            take_edges(bytes, (size_t)n);
        }
        if ((wait[1].revents & POLLIN) != 0) {
            const ssize_t n = read(host, bytes, sizeof bytes);
            for (ssize_t k = 0; k < n; k++) {
                im_host(&im, bytes[k]);
            }
        }
        if ((wait[2].revents & POLLIN) != 0) {
            const ssize_t n = read(dut, bytes, sizeof bytes);
            for (ssize_t k = 0; k < n; k++) {
                im_dut(&im, bytes[k]);
            }
        }
        im_poll(&im);
    }
}
