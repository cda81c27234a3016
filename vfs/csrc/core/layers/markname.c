/* The names of marks: whiteouts, records, opaque flags, temporary files (docs/format.md section 6). */
#include "../internal.h"

static struct {
    u32 names; /* temporary names that this process has made; any thread, atomically */
    u64 id, since; /* of whoever read the clock last; a forked child has another id, so it reads it anew */
} state;

u64 (*rl_memory_owner)(void);

int rl_reserved(const char *name, u32 len)
{
    return len >= 4 && !memcmp(name, RL_WH, 4);
}

/* Offset of the last name in real[0..len). */
static u32 last_name(const char *real, u32 len)
{
    while (len && real[len - 1] != '/')
        len--;
    return len;
}

static long long_form(char *out, size_t size, const char *real, u32 at, u32 len, const char *prefix)
{
    char tail[32], *p = rl_put(tail, prefix);
    u64 h = rl_fnv(RL_FNV_START, real + at, len - at);
    for (int shift = 60; shift >= 0; shift -= 4)
        *p++ = "0123456789abcdef"[h >> shift & 15];
    return rl_join(out, size, real, at, tail, (u32)(p - tail), "", 0);
}

long rl_whiteout_path(char *out, size_t size, const char *real, u32 len)
{
    u32 at = last_name(real, len);
    if (len - at > RL_WH_MAX_NAME)
        return long_form(out, size, real, at, len, RL_WH_LONG);
    return rl_join(out, size, real, at, RL_WH, 4, real + at, len - at);
}

/* `root_len`: length of the layer's own path; the record of a layer's root is inside the root. */
long rl_record_path(char *out, size_t size, const char *real, u32 len, u32 root_len)
{
    if (len == root_len && (!len || real[0] == '/')) /* a path that begins at a descriptor is never the root's */
        return rl_join(out, size, real, len, "/" RL_WH_RECORD, sizeof RL_WH_RECORD, "", 0);
    u32 at = last_name(real, len);
    if (len - at > RL_RECORD_MAX_NAME)
        return long_form(out, size, real, at, len, RL_WH_RECORD_LONG);
    return rl_join(out, size, real, at, RL_WH_RECORD, sizeof RL_WH_RECORD - 1, real + at, len - at);
}

long rl_opaque_path(char *out, size_t size, const char *real, u32 len)
{
    return rl_join(out, size, real, len, "/" RL_WH_OPAQUE, sizeof RL_WH_OPAQUE, "", 0);
}

/* A dead process's file, or another PID namespace's, may have our id: a time since which we have it distinguishes them. */
static u64 time_of(u64 id)
{
    i64 now[2] = {0, 0};
    if (__atomic_load_n(&state.id, __ATOMIC_ACQUIRE) == id)
        return __atomic_load_n(&state.since, __ATOMIC_RELAXED);
    k4(__NR_clock_gettime, 0, (long)now, 0, 0);
    u64 since = (u64)now[0] * 1000000000u + (u64)now[1];
    __atomic_store_n(&state.since, since, __ATOMIC_RELAXED);
    __atomic_store_n(&state.id, id, __ATOMIC_RELEASE);
    return since;
}

static long temp_path(char *out, size_t size, const char *real, u32 len, const char *end)
{
    char tail[64], *p = rl_put(tail, RL_WH_TEMP);
    u64 id = rl_memory_owner ? rl_memory_owner() : 0;
    if (!id)
        id = (u64)k4(__NR_gettid, 0, 0, 0, 0);
    p = rl_put_u64(p, id, 10);
    *p++ = '.';
    p = rl_put_u64(p, __atomic_fetch_add(&state.names, 1, __ATOMIC_RELAXED), 10);
    *p++ = '.';
    p = rl_put_u64(p, time_of(id), 16);
    p = rl_put(p, end);
    return rl_join(out, size, real, last_name(real, len), tail, (u32)(p - tail), "", 0);
}

long rl_temp_path(char *out, size_t size, const char *real, u32 len)
{
    return temp_path(out, size, real, len, "");
}

long rl_temp_new_path(char *out, size_t size, const char *real, u32 len)
{
    static const char end[] = {RL_WH_NEW, 0};
    return temp_path(out, size, real, len, end);
}

long rl_temp_quiet_path(char *out, size_t size, const char *dir, u32 len)
{
    static const char end[] = {RL_WH_QUIET, 0};
    long n = rl_join(out, size, dir, len, "/", 1, "", 0);
    return n < 0 ? n : temp_path(out, size, out, (u32)n, end);
}
