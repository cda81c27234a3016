/* libFuzzer's harness for what the hook engine reads of shared libraries: the names that a file needs (load.c), and the
 * relocations of one that is loaded (slots.c).
 *
 * What the dynamic linker has accepted has tables in its own memory; so those of the second reader have any entries, but
 * lie where they should. Putting the hooks in and out again must leave each byte as it was.
 *
 * Input: u8 which reader, then its bytes.
 */
#define _GNU_SOURCE
#include "hook/hook.h"

#define is_ours fuzz_is_ours /* nothing of the harness's is changed */
#include "hook/slots.c"
#undef is_ours
#include "hook/load.c"

#define WORDS 64

static int hook_of;
void *rl_hook_for(const char *symbol) { return symbol[0] == 'o' ? &hook_of : NULL; }
int rl_open_streams(void) { return 0; }
int rl_hook_alive(void) { return 0; }
void rl_fork_lock(pthread_mutex_t *which, enum rl_fork when) { (void)which, (void)when; }
struct rl_activation *rl_enter(void) { return NULL; }
void rl_leave(struct rl_activation **here) { (void)here; }
struct rl_thread *rl_thread(void) { return NULL; }
int rl_passthrough(const struct rl_activation *here, const char *path) { return !here || !path; }
long rl_getcwd_inside(struct rl_activation *here, char *out, size_t size) { return here && out && size ? 0 : -ENOENT; }

static void file(const unsigned char *data, size_t size)
{
    static const char origin[] = "/usr/lib/x";
    struct file f;
    char *out;

    if (size < sizeof(ElfW(Ehdr)))
        return;
    memset(&f, 0, sizeof f);
    f.map = data;
    f.bytes = size;
    read_dynamic(&f);
    out = malloc(RL_PATH_MAX);
    for (int i = 0; i < f.count; i++)
        for (const char *p = f.run_path; p && *p; p += strcspn(p, ":"), p += *p == ':')
            if (place(out, p, strcspn(p, ":"), origin, strlen("/usr/lib"), f.needed[i]) && strlen(out) >= RL_PATH_MAX)
                abort();
    free(out);
}

/* An object of WORDS words of data, with the relocations of the input. */
static void relocations(const unsigned char *data, size_t size)
{
    static const char strings[] = "\0open\0other\0opendir\0";
    static const ElfW(Sym) symbols[4] = {
        {.st_name = 0}, {.st_name = 1}, {.st_name = 6}, {.st_name = 12, .st_shndx = 3}};
    size_t count = size / sizeof(ElfW(Rela));
    ElfW(Rela) *table = malloc(count * sizeof *table + 1);
    void **words = malloc(WORDS * sizeof *words), *before[WORDS];
    struct object o = {.base = (ElfW(Addr))words, .symbols = symbols, .strings = strings};
    int expected = 0, done = 0;

    memcpy(table, data, count * sizeof *table);
    for (size_t i = 0; i < WORDS; i++)
        before[i] = words[i] = (void *)(i % 5 ? i * 16 : 0);
    for (size_t i = 0; i < count; i++) {
        table[i].r_offset = table[i].r_offset % WORDS * sizeof *words;
        table[i].r_info = ELF64_R_INFO(ELF64_R_SYM(table[i].r_info) % 4, ELF64_R_TYPE(table[i].r_info) % 12);
    }
    o.tables[0] = table, o.counts[0] = count / 2;
    o.tables[1] = table + count / 2, o.counts[1] = count - count / 2;
    patch_object(&o);
    for (size_t k = 0; k < state.slot_count; k++) {
        if (*state.slots[k].at != (state.slots[k].old ? &hook_of : NULL))
            abort();
        expected += state.slots[k].old != NULL;
    }
    for (size_t i = 0; i < WORDS; i++)
        if (words[i] != before[i] && words[i] != &hook_of)
            abort();
    for (size_t k = state.slot_count; k-- > 0;)
        put_back(&state.slots[k], &done);
    if (done != expected || memcmp(words, before, sizeof before))
        abort();
    state.slot_count = 0;
    free(words);
    free(table);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    /* to the heap, aligned as a mapping is */
    unsigned char *copy;

    if (!size)
        return -1;
    copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    if (data[0] % 2)
        file(copy, size - 1);
    else
        relocations(copy, size - 1);
    free(copy);
    return 0;
}
