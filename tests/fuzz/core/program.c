/* libFuzzer's harness for what the trap engine reads of programs: ELF headers, `#!` lines, call sites.
 *
 * Nothing is mapped: what would be is written down, and each mapping and each wiped byte must lie in the room that was
 * reserved before, or a hostile program could have parts of itself mapped over the engine's neighbours.
 *
 * Input: u8 which reader, then its bytes.
 */
#include "core/internal.h"
#include "trap/engine.h"

void *malloc(size_t n);
void free(void *p);
void abort(void);
static void *wipe(void *at, int value, size_t n);
#define memset wipe
#include "trap/start/elf.c"
#undef memset
#include "trap/start/script.c"
#include "trap/x86_64/patch_site.c"
/* The sanitizer's own stay: they check what they touch. */
#define memcpy core_memcpy
#define memmove core_memmove
#define memset core_memset
#define memcmp core_memcmp
#define strlen core_strlen
#include "core/base/mem.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen

int rl_has_threads(void) { return 0; }
void rl_warn(const char *a, const char *b, const char *c) { (void)a, (void)b, (void)c; }
char rl_patch_entry[1];
u64 rl_patch_map[RL_SYSCALL_LIMIT / 64];

static const u8 *input;
static size_t input_bytes;
static u64 room, room_bytes; /* what reserve() took */
#define FREE_PLACE 0x10000000ull

static void inside(u64 at, u64 n)
{
    if (n && (at < room || n > room_bytes || at - room > room_bytes - n))
        abort(); /* beside what was reserved */
}

static void *wipe(void *at, int value, size_t n)
{
    (void)value;
    inside((u64)at, n);
    return at;
}

static long map(u64 at, u64 n, long flags)
{
    if (!n || n > 1ull << 47)
        return -EINVAL;
    if (flags & MAP_FIXED) {
        inside(at, page_up(n));
        return (long)at;
    }
    room = flags & MAP_FIXED_NOREPLACE ? at : FREE_PLACE;
    room_bytes = page_up(n);
    return room + room_bytes > 1ull << 47 ? -ENOMEM : (long)room;
}

long rl_sys(long nr, long a, long b, long c, long d, long e, long f)
{
    (void)e, (void)f;
    switch (nr) {
    case __NR_pread64: {
        size_t n = (size_t)c;
        if (d < 0)
            return -EINVAL;
        if ((size_t)d >= input_bytes)
            return 0;
        if (n > input_bytes - (size_t)d)
            n = input_bytes - (size_t)d;
        memcpy((void *)b, input + d, n);
        return (long)n;
    }
    case __NR_mmap: return map((u64)a, (u64)b, d);
    case __NR_munmap: inside((u64)a, (u64)b); return 0;
    default: return 0;
    }
}

long rl_user_read(struct rl_call *c, void *to, u64 from, size_t n)
{
    (void)c;
    if (from > input_bytes || n > input_bytes - from)
        return -EFAULT;
    memcpy(to, input + from, n);
    return 0;
}

static void elf(void)
{
    char *interp = malloc(RL_PATH_MAX);
    struct rl_image image;

    room = room_bytes = 0;
    rl_elf_machine_name(input, input_bytes);
    long checked = rl_elf_check(0, interp, RL_PATH_MAX);
    long mapped = rl_elf_map(0, input_bytes % 2 ? 0x7000000000 : 0, &image, interp);
    if (mapped == 0 && (checked < 0 || image.end > room + room_bytes || strlen(interp) >= RL_PATH_MAX))
        abort();
    free(interp);
}

static void script(void)
{
    size_t n = input_bytes < RL_SCRIPT_HEAD ? input_bytes : RL_SCRIPT_HEAD;
    char *head = malloc(n + 1), *interp, *arg;

    memcpy(head, input, n);
    if (rl_script_parse(head, (long)n, &interp, &arg) == 0 && (!*interp || (arg && !*arg)))
        abort();
    free(head);
}

static void site(void)
{
    struct rl_call call;
    struct rl_site found;
    u8 *stub = malloc(RL_STUB_BYTES);

    for (u64 ip = 8; ip < input_bytes; ip++)
        for (u64 nr = 0; nr < 4; nr++)
            if (rl_patch_read_site(&call, ip, nr, ip / 2, &found))
                rl_patch_write_stub(stub, &found);
    free(stub);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    u64 number;

    if (!size)
        return -1;
    input = data + 1;
    input_bytes = size - 1;
    switch (data[0] % 4) {
    case 0: script(); break;
    case 1: site(); break;
    case 2: {
        char *text = malloc(size);
        memcpy(text, input, input_bytes);
        text[input_bytes] = 0;
        const char *at = text;
        if (rl_number(&at, 10 + data[0] / 4 % 7, &number) && at == text)
            abort();
        free(text);
        break;
    }
    default: elf();
    }
    return 0;
}
