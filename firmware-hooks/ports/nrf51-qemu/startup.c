/* Start-up without a C library: vectors, data, and the two functions that the compiler may call by itself. */
#include <stddef.h>
#include <stdint.h>

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];

int main(void);
void reset_handler(void);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *const a = to;
    const uint8_t *const b = from;
    for (size_t k = 0u; k < n; k++) {
        a[k] = b[k];
    }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *const a = to;
    for (size_t k = 0u; k < n; k++) {
        a[k] = (uint8_t)value;
    }
    return to;
}

void reset_handler(void)
{
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; to++) {
        *to = *from;
        from++;
    }
    for (uint32_t *to = bss_start; to < bss_end; to++) {
        *to = 0u;
    }
    (void)main();
    for (;;) {
    }
}

static void hang(void)
{
    for (;;) {
    }
}

typedef void (*handler_t)(void);

static const struct {
    uint32_t *stack;
    handler_t handlers[15];
} vectors __attribute__((section(".vectors"), used)) = {
    stack_top,
    {reset_handler, hang, hang, hang, hang, hang, hang, hang, hang, hang, hang, hang, hang, hang, hang},
};
