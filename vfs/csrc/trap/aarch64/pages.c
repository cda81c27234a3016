/* Pages of the program: their size, and whether branches into them need landing pads (aarch64). */
#include <asm/fcntl.h>
#include <linux/auxvec.h>

#include "../call/patch.h"

#define RL_PROT_BTI 0x10
#define RL_HWCAP2_BTI (1ull << 17)
#define RL_LINE 128 /* of a mapping's addresses and of its flags: both fit */

u64 rl_page = 4096;

/* Of the last mapping that was looked up. Guarded by rl_patch_lock(). */
static struct {
    int processor_has_it;
    u64 from, to;
    int guarded;
} state;

void rl_arch_init(const u64 *auxv)
{
    for (; auxv[0] != AT_NULL; auxv += 2)
        if (auxv[0] == AT_PAGESZ)
            rl_page = auxv[1];
        else if (auxv[0] == AT_HWCAP2)
            state.processor_has_it = (auxv[1] & RL_HWCAP2_BTI) != 0;
}

static int has_flag(const char *line, const char *flag)
{
    for (; *line; line++)
        if (line[0] == ' ' && line[1] == flag[0] && line[2] == flag[1])
            return 1;
    return 0;
}

/* One line of smaps. 1: it is the last one of the mapping that `at` is in. */
static int take_line(const char *line, u64 at)
{
    u64 from, to;

    if (rl_begins(line, "VmFlags:")) {
        state.guarded = has_flag(line, "bt");
        return at >= state.from && at < state.to;
    }
    if (rl_number(&line, 16, &from) && *line++ == '-' && rl_number(&line, 16, &to)) {
        state.from = from;
        state.to = to;
    }
    return 0;
}

static void find_mapping(u64 at)
{
    char line[RL_LINE], buf[1024];
    long fd = k_open("/proc/self/smaps", O_RDONLY | O_CLOEXEC, 0), n;
    u32 have = 0;

    state.from = state.to = 0;
    state.guarded = 0;
    while (fd >= 0 && (n = k_read(fd, buf, sizeof buf)) > 0)
        for (long i = 0; i < n; i++) {
            if (buf[i] != '\n') {
                if (have < sizeof line - 1)
                    line[have++] = buf[i];
                continue;
            }
            line[have] = 0;
            have = 0;
            if (take_line(line, at)) {
                k_close(fd);
                return;
            }
        }
    if (fd >= 0)
        k_close(fd);
    state.from = state.to = 0;
}

int rl_code_protection(u64 page)
{
    if (state.processor_has_it && (page < state.from || page >= state.to))
        find_mapping(page);
    return PROT_READ | PROT_EXEC | (state.processor_has_it && state.guarded ? RL_PROT_BTI : 0);
}
