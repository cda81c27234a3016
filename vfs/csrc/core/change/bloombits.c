/* Set the Bloom bits of a directory tree that is about to move inside the upper.
 *
 * Without recursion: directories found are queued, as paths relative to the moving one. If memory runs out, all bits
 * are set: look-ups stay slow, but correct. */
#include "../internal.h"

#define QUEUE_BYTES (1u << 20)

static void all_bits(const struct rl_layer *l)
{
    for (u32 i = 0; l->bloom && i < 1u << (RL_BLOOM_LOG2 - 6); i++)
        __atomic_store_n(&l->bloom[i], ~0ull, __ATOMIC_RELAXED);
}

/* A name in a directory whose path had the FNV state `old`. */
static void bits_of(const struct rl_layer *l, u64 old, u64 dir, const char *name, u32 len)
{
    u64 fnv = rl_fnv(rl_fnv(dir, "/", 1), name, len);
    rl_bloom_set(l, rl_bloom_key(fnv, RL_KEY_PATH));
    rl_record_moves(rl_fnv(rl_fnv(old, "/", 1), name, len), fnv);
}

static void entry_bits(const struct rl_layer *l, u64 old, u64 dir, long fd, const char *name, u32 len)
{
    char text[RL_NAME_MAX + 1];
    if (!rl_reserved(name, len)) {
        bits_of(l, old, dir, name, len);
    } else if (rl_same(name, RL_WH_OPAQUE)) {
        rl_bloom_set(l, rl_bloom_key(dir, RL_BLOOM_OPAQUE));
    } else if (rl_begins(name, RL_WH_LONG)) {
        long n = k4(__NR_readlinkat, fd, (long)name, (long)text, RL_NAME_MAX);
        if (n > 0)
            bits_of(l, old, dir, text, (u32)n);
    } else {
        bits_of(l, old, dir, name + 4, len - 4);
    }
}

struct queue {
    char *buf; /* NUL-terminated relative paths, each with a leading slash; the first is empty */
    u32 put;
    int full;
};

static long one_dir(struct queue *q, const char *real, u32 len, const char *rel, u64 from, u64 fnv)
{
    const struct rl_layer *l = &rl_layers[0];
    char path[RL_REAL_MAX], buf[4096];
    u32 rl = (u32)strlen(rel);
    long r = rl_join(path, sizeof path, real, len, rel, rl, "", 0), n;
    if (r < 0)
        return r;
    long fd = k_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
    u64 dir = rl_fnv(fnv, rel, rl), old = rl_fnv(from, rel, rl);
    rl_watched_moved(dir);
    while ((n = k_getdents(fd, buf, sizeof buf)) > 0)
        for (long o = 0; o < n;) {
            struct rl_dirent *e = (void *)(buf + o);
            u32 k = (u32)strlen(e->name);
            o += e->reclen;
            if (rl_dots(e->name, k))
                continue;
            entry_bits(l, old, dir, fd, e->name, k);
            if (e->type != 4 && e->type != 0)
                continue;
            if (q->put + rl + k + 2 > QUEUE_BYTES) {
                q->full = 1;
                continue;
            }
            char *p = q->buf + q->put;
            memcpy(p, rel, rl);
            p[rl] = '/';
            memcpy(p + rl + 1, e->name, k + 1);
            q->put += rl + k + 2;
        }
    k_close(fd);
    return n;
}

long rl_bits_below(const char *real, u32 len, u64 from, u64 fnv)
{
    struct queue q = {k_mmap(QUEUE_BYTES), 1, 0};
    long r = 0;
    if (!rl_layers[0].bloom || !q.buf) {
        all_bits(&rl_layers[0]);
        if (q.buf)
            k_munmap(q.buf, QUEUE_BYTES);
        return 0;
    }
    q.buf[0] = 0;
    for (u32 at = 0; at < q.put && r >= 0 && !q.full; at += (u32)strlen(q.buf + at) + 1)
        r = one_dir(&q, real, len, q.buf + at, from, fnv);
    if (q.full || r < 0)
        all_bits(&rl_layers[0]);
    k_munmap(q.buf, QUEUE_BYTES);
    return 0;
}
