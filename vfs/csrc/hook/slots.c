/* Find, change and restore the places where loaded objects keep the addresses of libc's functions.
 *
 * 1. An object's relocations list the places: jump slots and global data of the GOT, and pointers in its data (tables
 *    of functions, as sqlite has). The engine's own objects, libc and the dynamic linker are left alone.
 * 2. A slot is restored only if it still holds our hook: other code may have changed it since.
 * 3. Each object is patched once; dlopen() and dlsym() call this code for objects that were loaded meanwhile.
 * 4. Pages that the linker made read-only after relocation are writable while the slots of their object are changed.
 * 5. Restored slots stay recorded: while no object has been unloaded, hooks are installed again without reading the
 *    relocations. Slots are accessed only inside dl_iterate_phdr(), during which no object can be unloaded.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hook.h"

#if defined(__x86_64__)
#define JUMP_SLOT R_X86_64_JUMP_SLOT
#define GLOBAL_DATA R_X86_64_GLOB_DAT
#define POINTER R_X86_64_64
#elif defined(__aarch64__)
#define JUMP_SLOT R_AARCH64_JUMP_SLOT
#define GLOBAL_DATA R_AARCH64_GLOB_DAT
#define POINTER R_AARCH64_ABS64
#endif

struct slot {
    void **at, *old, *hook;
    ElfW(Addr) relro, relro_end; /* of its object */
};

/* The content of an object's dynamic section. */
struct object {
    ElfW(Addr) base, relro, relro_end;
    const ElfW(Dyn) *dynamic;
    const ElfW(Sym) *symbols;
    const char *strings;
    const ElfW(Rela) *tables[2];
    size_t counts[2];
};

static struct {
    pthread_mutex_t lock; /* guards the rest, and the writing of rl_installed */
    struct slot *slots;
    size_t slot_count, slot_room;
    const void **seen; /* dynamic sections of the objects that were patched */
    size_t seen_count, seen_room;
    unsigned long long last_adds, last_subs; /* the linker's counts of objects, at that time */
    int unloaded;                            /* some slots may be those of an unloaded object */
    ElfW(Addr) opened, opened_end;           /* the pages of rule 4 that are writable now */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};
volatile int rl_installed; /* read without the lock: a call that comes too late or too early is libc's */

static int is_ours(const char *path)
{
    static const char *const left[] = {"libc.so",  "ld-linux", "linux-vdso",    "libasan", "libtsan",
                                       "libubsan", "libdl.so", "libpthread.so", "_hook.so"};
    const char *name = strrchr(path, '/');

    name = name ? name + 1 : path;
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        if (!strncmp(name, left[i], strlen(left[i])))
            return 1;
    return 0;
}

static int read_object(const struct dl_phdr_info *info, struct object *o)
{
    memset(o, 0, sizeof *o);
    o->base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_DYNAMIC)
            o->dynamic = (const void *)(o->base + p->p_vaddr);
        if (p->p_type == PT_GNU_RELRO) {
            o->relro = o->base + p->p_vaddr;
            o->relro_end = o->relro + p->p_memsz;
        }
    }
    if (!o->dynamic)
        return 0;
    for (const ElfW(Dyn) *d = o->dynamic; d->d_tag != DT_NULL; d++) {
        const void *address = (const void *)d->d_un.d_ptr;
        switch (d->d_tag) {
        case DT_SYMTAB: o->symbols = address; break;
        case DT_STRTAB: o->strings = address; break;
        case DT_JMPREL: o->tables[0] = address; break;
        case DT_PLTRELSZ: o->counts[0] = d->d_un.d_val / sizeof(ElfW(Rela)); break;
        case DT_RELA: o->tables[1] = address; break;
        case DT_RELASZ: o->counts[1] = d->d_un.d_val / sizeof(ElfW(Rela)); break;
        default: break;
        }
    }
    return o->symbols && o->strings;
}

static void close_pages(void)
{
    if (state.opened != state.opened_end)
        mprotect((void *)state.opened, state.opened_end - state.opened, PROT_READ);
    state.opened = state.opened_end = 0;
}

static int put(const struct slot *s, void *value)
{
    ElfW(Addr) page = (ElfW(Addr))getpagesize(), address = (ElfW(Addr))s->at, low = s->relro & ~(page - 1),
               high = s->relro_end & ~(page - 1);

    if (address >= low && address < high && state.opened != low) {
        close_pages();
        if (mprotect((void *)low, high - low, PROT_READ | PROT_WRITE) != 0)
            return -1;
        state.opened = low;
        state.opened_end = high;
    }
    __atomic_store_n(s->at, value, __ATOMIC_RELEASE);
    return 0;
}

/* Makes room for one more in a list, which realloc() may move. The list; NULL: there is no memory. */
static void *grown(void *list, size_t count, size_t *room, size_t size)
{
    size_t more = *room ? *room * 2 : 1024;

    if (count < *room)
        return list;
    list = realloc(list, more * size);
    *room = list ? more : *room;
    return list;
}

static struct slot *remember(struct slot s)
{
    struct slot *list = grown(state.slots, state.slot_count, &state.slot_room, sizeof s);

    if (!list)
        return NULL;
    state.slots = list;
    list[state.slot_count] = s;
    return &list[state.slot_count++];
}

static int is_new(const void *dynamic)
{
    const void **list;

    for (size_t i = 0; i < state.seen_count; i++)
        if (state.seen[i] == dynamic)
            return 0;
    list = grown(state.seen, state.seen_count, &state.seen_room, sizeof *list);
    if (!list)
        return 0;
    state.seen = list;
    list[state.seen_count++] = dynamic;
    return 1;
}

static void patch_object(const struct object *o)
{
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; o->tables[t] && i < o->counts[t]; i++) {
            const ElfW(Rela) *r = &o->tables[t][i];
            unsigned type = (unsigned)ELF64_R_TYPE(r->r_info);
            const ElfW(Sym) *s = &o->symbols[ELF64_R_SYM(r->r_info)];
            void **at = (void **)(o->base + r->r_offset), *hook;
            const struct slot *new;

            if (type != JUMP_SLOT && type != GLOBAL_DATA && (type != POINTER || r->r_addend))
                continue;
            if (s->st_shndx != SHN_UNDEF || !(hook = rl_hook_for(o->strings + s->st_name)))
                continue;
            if (*at == hook)
                continue;
            new = remember((struct slot){at, *at, hook, o->relro, o->relro_end});
            if (new && *at && put(new, hook) != 0) /* 0: another thread is loading it, or it is not loaded */
                state.slot_count--;
        }
    close_pages();
}

static int visit(struct dl_phdr_info *info, size_t size, void *changed)
{
    struct object o;

    (void)size;
    if (!*(int *)changed) {
        if (info->dlpi_adds == state.last_adds && info->dlpi_subs == state.last_subs)
            return 1;
        state.last_adds = info->dlpi_adds;
        if (info->dlpi_subs != state.last_subs) {
            state.seen_count = 0; /* an address may belong to another object now; patching twice does no harm */
            state.unloaded = state.slot_count != 0;
        }
        state.last_subs = info->dlpi_subs;
        *(int *)changed = 1;
    }
    if (!is_ours(info->dlpi_name) && read_object(info, &o) && is_new(o.dynamic))
        patch_object(&o);
    return 0;
}

void rl_slots_follow(void)
{
    int changed = 0;

    if (!rl_installed)
        return;
    pthread_mutex_lock(&state.lock);
    dl_iterate_phdr(visit, &changed);
    pthread_mutex_unlock(&state.lock);
}

/* Rule 5: known slots get their hooks again. A lazily bound slot may have been bound since. */
static int place_again(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    if (info->dlpi_subs != state.last_subs) {
        state.slot_count = state.seen_count = 0;
        return 1;
    }
    for (size_t k = 0; k < state.slot_count; k++) {
        void *old = *state.slots[k].at;
        if (old && old != state.slots[k].hook && put(&state.slots[k], state.slots[k].hook) == 0)
            state.slots[k].old = old;
    }
    close_pages();
    return 1;
}

static void put_back(const struct slot *s, int *count)
{
    if (*s->at == s->hook && put(s, s->old) == 0)
        ++*count;
}

/* Restore all slots if no object has been unloaded; otherwise those of each object that is still loaded. */
static int restore(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)size;
    if (info->dlpi_subs == state.last_subs && !state.unloaded) {
        for (size_t k = 0; k < state.slot_count; k++)
            put_back(&state.slots[k], count);
        close_pages();
        return 1;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        ElfW(Addr) low = info->dlpi_addr + p->p_vaddr, high = low + p->p_memsz;

        for (size_t k = 0; p->p_type == PT_LOAD && k < state.slot_count; k++)
            if ((ElfW(Addr))state.slots[k].at >= low && (ElfW(Addr))state.slots[k].at < high)
                put_back(&state.slots[k], count);
    }
    close_pages();
    return 0;
}

/* Install the hooks. Returns how many slots hold one. */
RL_PUBLIC int rl_hook_install(void)
{
    int changed = 0;

    pthread_mutex_lock(&state.lock);
    if (!rl_installed)
        dl_iterate_phdr(place_again, NULL);
    rl_installed = 1;
    dl_iterate_phdr(visit, &changed);
    pthread_mutex_unlock(&state.lock);
    return (int)state.slot_count;
}

/* Restore all slots. Returns how many slots there were; -1: not now, because a thread is inside or has a directory
 * stream open. */
RL_PUBLIC int rl_hook_uninstall(void)
{
    int count = 0;

    pthread_mutex_lock(&state.lock);
    if (rl_open_streams() || rl_hook_alive()) {
        pthread_mutex_unlock(&state.lock);
        return -1;
    }
    rl_installed = 0;
    dl_iterate_phdr(restore, &count);
    if (state.unloaded) {
        state.slot_count = state.seen_count = 0;
        state.last_adds = 0; /* all relocations are read again */
        state.unloaded = 0;
    }
    pthread_mutex_unlock(&state.lock);
    return count;
}

void rl_slots_fork(enum rl_fork when)
{
    rl_fork_lock(&state.lock, when);
}
