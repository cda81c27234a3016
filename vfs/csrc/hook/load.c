/* Libraries that are loaded inside: found in the container, and hooked like those that were loaded before.
 *
 * The dynamic linker searches the machine for a library's dependencies. So those from the container are loaded before
 * it, by their real paths: the linker does not search for a name that is already loaded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hook.h"

#define DEPTH 16
#define NEEDED 128

/* A library's file, mapped. */
struct file {
    const unsigned char *map;
    size_t bytes;
    const char *strings;
    size_t strings_bytes;
    const char *needed[NEEDED], *run_path;
    int count;
};

static int map_file(const char *real, struct file *f)
{
    struct stat st;
    int fd = open(real, O_RDONLY | O_CLOEXEC);
    void *map;

    memset(f, 0, sizeof *f);
    if (fd < 0)
        return -1;
    if (raw_fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(ElfW(Ehdr))) {
        close(fd);
        return -1;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return -1;
    f->map = map;
    f->bytes = (size_t)st.st_size;
    return 0;
}

/* The file position of a virtual address; NULL: none. */
static const void *at_address(const struct file *f, ElfW(Addr) address, size_t bytes)
{
    const ElfW(Ehdr) *head = (const void *)f->map;
    const ElfW(Phdr) *p = (const void *)(f->map + head->e_phoff);

    for (int i = 0; i < head->e_phnum; i++) {
        size_t at = address - p[i].p_vaddr + p[i].p_offset;
        if (p[i].p_type == PT_LOAD && address >= p[i].p_vaddr && address - p[i].p_vaddr < p[i].p_filesz &&
            at <= f->bytes && bytes <= f->bytes - at)
            return f->map + at;
    }
    return NULL;
}

static const char *string(const struct file *f, size_t at)
{
    if (at >= f->strings_bytes || !memchr(f->strings + at, 0, f->strings_bytes - at))
        return NULL;
    return f->strings + at;
}

static void read_dynamic(struct file *f)
{
    const ElfW(Ehdr) *head = (const void *)f->map;
    const ElfW(Phdr) *p;
    const ElfW(Dyn) *dynamic = NULL;
    size_t count = 0, strings = 0;

    if (memcmp(head->e_ident, ELFMAG, SELFMAG) || head->e_ident[EI_CLASS] != ELFCLASS64 ||
        head->e_phentsize != sizeof *p || head->e_phoff > f->bytes || head->e_phoff % sizeof(ElfW(Addr)) ||
        head->e_phnum > (f->bytes - head->e_phoff) / sizeof *p)
        return;
    p = (const void *)(f->map + head->e_phoff);
    for (int i = 0; i < head->e_phnum; i++)
        if (p[i].p_type == PT_DYNAMIC && p[i].p_offset % sizeof(ElfW(Addr)) == 0 && p[i].p_offset <= f->bytes &&
            p[i].p_filesz <= f->bytes - p[i].p_offset) {
            dynamic = (const void *)(f->map + p[i].p_offset);
            count = p[i].p_filesz / sizeof *dynamic;
        }
    for (size_t i = 0; i < count; i++) {
        strings = dynamic[i].d_tag == DT_STRTAB ? dynamic[i].d_un.d_ptr : strings;
        f->strings_bytes = dynamic[i].d_tag == DT_STRSZ ? dynamic[i].d_un.d_val : f->strings_bytes;
    }
    f->strings = at_address(f, strings, f->strings_bytes);
    for (size_t i = 0; f->strings && i < count && dynamic[i].d_tag != DT_NULL; i++) {
        const char *text = string(f, dynamic[i].d_un.d_val);
        if (dynamic[i].d_tag == DT_NEEDED && text && f->count < NEEDED)
            f->needed[f->count++] = text;
        if (dynamic[i].d_tag == DT_RUNPATH || (dynamic[i].d_tag == DT_RPATH && !f->run_path))
            f->run_path = text;
    }
}

/* A library's constructor may have entered and left the core: enter it again. */
static void *open_library(struct rl_activation *here, const char *name, int flags)
{
    struct rl_thread *t = rl_thread();
    void *handle = dlopen(name, flags);

    t->now = here;
    t->busy = here->box;
    return handle;
}

static void *load(struct rl_activation *here, const char *path, int flags, int depth);

/* One entry of a run path, with $ORIGIN replaced, and a name after it. 0: too long. */
static int place(char *out, const char *entry, size_t n, const char *origin, size_t origin_bytes, const char *name)
{
    static const char *const words[] = {"$ORIGIN", "${ORIGIN}"};
    size_t at = 0;

    for (size_t i = 0; i < n;) {
        size_t skip = 0;
        for (int w = 0; w < 2; w++)
            if (n - i >= strlen(words[w]) && !memcmp(entry + i, words[w], strlen(words[w])))
                skip = strlen(words[w]);
        if (at + origin_bytes + strlen(name) + 2 > RL_PATH_MAX)
            return 0;
        if (skip) {
            memcpy(out + at, origin, origin_bytes);
            at += origin_bytes;
            i += skip;
        } else {
            out[at++] = entry[i++];
        }
    }
    out[at++] = '/';
    strcpy(out + at, name);
    return 1;
}

static void *from_run_path(struct rl_activation *here, const char *run_path, const char *origin, const char *name,
                           int flags, int depth)
{
    char path[RL_PATH_MAX];
    size_t origin_bytes = (size_t)(strrchr(origin, '/') - origin);
    void *found = NULL;

    for (const char *p = run_path; !found && p && *p; p += strcspn(p, ":"), p += *p == ':')
        if (place(path, p, strcspn(p, ":"), origin, origin_bytes, name) &&
            RL_CORE(here)->access(AT_FDCWD, path, R_OK, 0) == 0)
            found = load(here, path, flags, depth + 1);
    return found;
}

#if defined(__x86_64__)
#define TRIPLE "x86_64-linux-gnu"
#else
#define TRIPLE "aarch64-linux-gnu"
#endif

static const char usual[] = "/usr/local/lib:/lib/" TRIPLE ":/usr/lib/" TRIPLE ":/lib64:/usr/lib64:/lib:/usr/lib";

static int is_loaded(const char *name)
{
    void *handle = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);

    return handle && dlclose(handle) == 0;
}

/* Load the library's missing dependencies: by their own paths in the container, at the machine's paths, or from the
 * container's usual directories. */
static void load_needed(struct rl_activation *here, const char *path, const char *real, int depth)
{
    const int lazy = RTLD_LAZY | RTLD_LOCAL;
    struct file f;

    if (depth >= DEPTH || map_file(real, &f) != 0)
        return;
    read_dynamic(&f);
    for (int i = 0; i < f.count; i++) {
        const char *name = f.needed[i];
        if (strchr(name, '/') || is_loaded(name))
            continue;
        if (!from_run_path(here, f.run_path, path, name, lazy, depth) && !open_library(here, name, lazy))
            from_run_path(here, usual, path, name, lazy, depth);
    }
    munmap((void *)f.map, f.bytes);
}

/* Does the file have the same name inside, as one of the interpreter's files does? */
static int is_of_the_machine(struct rl_activation *here, const char *real)
{
    char name[RL_PATH_MAX];

    return RL_CORE(here)->virtual_path(real, name, sizeof name) > 0 && !strcmp(name, real);
}

static void *load(struct rl_activation *here, const char *path, int flags, int depth)
{
    char real[RL_PATH_MAX + 512], full[RL_PATH_MAX];
    long r = RL_CORE(here)->real_path(AT_FDCWD, path, 0, real, sizeof real);

    if (r < 0)
        return dlopen(path, flags); /* for its message */
    if (is_of_the_machine(here, real)) /* and so are its dependencies */
        return open_library(here, real, flags);
    if (path[0] != '/') { /* the linker needs an absolute path for the origin */
        r = RL_CORE(here)->getcwd(full, sizeof full);
        if (r < 0 || (size_t)r + strlen(path) >= sizeof full)
            return dlopen(real, flags);
        full[r - 1] = '/';
        strcpy(full + r, path);
        path = full;
    }
    load_needed(here, path, real, depth);
    return open_library(here, real, flags);
}

/* The linker searches for a bare name along the caller's own run path and in the machine's library directories. In the
 * same order, find a file that only the container has; NULL: leave it to the linker. */
static __attribute__((noinline)) void *load_bare(const void *caller, const char *name, int flags)
{
    RL_INSIDE(here);
    char path[RL_PATH_MAX];
    struct file f;
    Dl_info by;
    void *found = NULL;

    if (!here || !rl_thread() || is_loaded(name))
        return NULL;
    if (dladdr(caller, &by) && by.dli_fname && by.dli_fname[0] == '/' &&
        RL_CORE(here)->virtual_path(by.dli_fname, path, sizeof path) > 0 && map_file(by.dli_fname, &f) == 0) {
        read_dynamic(&f);
        found = from_run_path(here, f.run_path, path, name, flags, 0);
        munmap((void *)f.map, f.bytes);
    }
    if (!found && !open_library(here, name, RTLD_LAZY | RTLD_LOCAL))
        found = from_run_path(here, usual, "/", name, flags, 0);
    return found;
}

void *rl_h_dlopen(const char *path, int flags)
{
    void *handle = NULL;

    if (!path || !strchr(path, '/')) {
        if (path && *path && !(flags & RTLD_NOLOAD))
            handle = load_bare(__builtin_return_address(0), path, flags);
        if (!handle) /* The linker must see the caller, so this is a jump; hooked at the first dlsym(). */
            return dlopen(path, flags);
    } else {
        RL_INSIDE(here);
        struct rl_thread *t = rl_thread();
        if (here && t) {
            handle = load(here, path, flags, 0);
        } else {
            handle = dlopen(path, flags);
        }
    }
    if (handle)
        rl_slots_follow();
    return handle;
}

static int is_libcs(const void *function)
{
    Dl_info function_in, libc_is;

    return dladdr(function, &function_in) && dladdr((void *)getenv, &libc_is) &&
           function_in.dli_fbase == libc_is.dli_fbase;
}

void *rl_h_dlsym(void *handle, const char *name)
{
    void *found, *hook;

    if (handle == RTLD_NEXT || !name)
        return dlsym(handle, name); /* likewise: next to the caller */
    rl_slots_follow();
    found = dlsym(handle, name);
    hook = found && rl_installed ? rl_hook_for(name) : NULL;
    /* only libc's own: a library may have its own function of that name */
    return hook && is_libcs(found) ? hook : found;
}
