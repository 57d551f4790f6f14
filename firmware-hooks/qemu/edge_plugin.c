/*
 * A QEMU TCG plugin that reports stores to chosen addresses with the exact count of instructions executed so far. With
 * -icount shift=S an instruction takes 2^S ns of virtual time.
 *
 * Plugin API version 1 (QEMU 4.2 to 8.x). Its declarations stand here because distributions ship no header; they follow
 * QEMU's public interface documentation.
 *
 * Options: out=PATH (a file or FIFO) or fd=N (an inherited descriptor), at=HEXADDRESS:LETTER (repeatable).
 * Output: a line `LETTER COUNT` a store, flushed at once: it is in the pipe before the next instruction runs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <signal.h>
#include <sys/prctl.h>
#endif

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { INLINE_ADD_U64 = 0, CB_NO_REGS = 0, MEM_WRITE = 2 };

void qemu_plugin_register_vcpu_tb_trans_cb(
    qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t k);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *counter, uint64_t add);
void qemu_plugin_register_vcpu_mem_cb(
    struct qemu_plugin_insn *insn,
    void (*callback)(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data),
    int flags,
    int rw,
    void *data);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

#define MAX_WATCHES 16

static uint64_t executed;
static FILE *out;
static int watches;
static struct {
    uint64_t address;
    char letter;
} watch[MAX_WATCHES];

static void on_store(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)cpu;
    (void)info;
    (void)data;
    for (int k = 0; k < watches; k++) {
        if (watch[k].address == address) {
            fprintf(out, "%c %llu\n", watch[k].letter, (unsigned long long)executed);
            fflush(out);
        }
    }
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    const size_t n = qemu_plugin_tb_n_insns(tb);
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, k);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &executed, 1);
        qemu_plugin_register_vcpu_mem_cb(insn, on_store, CB_NO_REGS, MEM_WRITE, NULL);
    }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int k = 0; k < argc; k++) {
        if (strncmp(argv[k], "out=", 4) == 0) {
            out = fopen(argv[k] + 4, "w");
        } else if (strncmp(argv[k], "fd=", 3) == 0) {
            out = fdopen(atoi(argv[k] + 3), "w");
#ifdef __linux__
            /* Whoever gave the descriptor may be killed; an emulator that nobody listens to would run for ever. */
            prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        } else if (strncmp(argv[k], "at=", 3) == 0 && watches < MAX_WATCHES) {
            char *end = NULL;
            watch[watches].address = strtoull(argv[k] + 3, &end, 16);
            if (end[0] != ':' || end[1] == '\0') {
                fprintf(stderr, "edge_plugin: %s is not at=HEXADDRESS:LETTER\n", argv[k]);
                return 1;
            }
            watch[watches++].letter = end[1];
        } else {
            fprintf(stderr, "edge_plugin: unknown option %s\n", argv[k]);
            return 1;
        }
    }
    if (out == NULL) {
        fprintf(stderr, "edge_plugin: needs out= or fd=, and must be able to write to it\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
