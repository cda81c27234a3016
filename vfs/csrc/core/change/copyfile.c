/* Copy a regular file, for copy-up.
 *
 * 1. An open() that needs the copy gets the copy's own descriptor: the copy is made under a temporary name with the
 *    program's flags, and renamed while it is open.
 * 2. A small file of the view that is not hydrated is not hydrated for its copy: the hydrator sends the content, and that
 *    of the files that are probably copied up next (layers/sentcontent.c). */
#include "../internal.h"

#define COPY_BYTES (256u << 10)

static long copy_bytes(long from, long to, i64 at, i64 end)
{
    u32 size = end - at > (i64)RL_BLOCK ? COPY_BYTES : RL_BLOCK;
    char *buf = rl_scratch_get(size);
    long r = 0;
    if (!buf)
        return -ENOMEM;
    while (at < end && r >= 0) {
        i64 want = end - at < (i64)size ? end - at : (i64)size;
        long n = k4(__NR_pread64, from, (long)buf, want, at);
        if (n <= 0) {
            r = n;
            break;
        }
        for (long done = 0; done < n && r >= 0; done += r > 0 ? r : 0)
            r = k4(__NR_pwrite64, to, (long)(buf + done), n - done, at + done);
        at += n;
    }
    rl_scratch_put(buf, size);
    return r < 0 ? r : 0;
}

static long copy_range(long from, long to, i64 at, i64 end)
{
    while (at < end) {
        i64 in = at, out = at;
        long n = rl_sys(__NR_copy_file_range, from, (long)&in, to, (long)&out, end - at, 0);
        if (n == 0)
            return 0; /* shorter than it was */
        if (n < 0) /* not supported between these file systems: copy with read and write */
            return n == -ENOSPC || n == -EDQUOT ? n : copy_bytes(from, to, at, end);
        at += n;
    }
    return 0;
}

/* The content; holes are skipped if that saves more than the calls that find them cost. */
static long copy_data(long from, long to, i64 size)
{
    long r = 0;
    if (size <= (i64)RL_BLOCK)
        return copy_bytes(from, to, 0, size);
    for (i64 at = 0; at < size && r >= 0;) {
        i64 data = k4(__NR_lseek, from, at, 3 /* SEEK_DATA */, 0), hole;
        if (data == -ENXIO)
            break;
        if (data < 0) {
            data = at;
            hole = size;
        } else {
            hole = k4(__NR_lseek, from, data, 4 /* SEEK_HOLE */, 0);
            if (hole <= data)
                hole = size;
        }
        r = copy_range(from, to, data, hole);
        at = hole;
    }
    return r < 0 ? r : k4(__NR_ftruncate, to, size, 0, 0);
}

#define KEPT_FLAGS (O_ACCMODE | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_LARGEFILE)
#define MEANINGLESS (O_CREAT | O_TRUNC | O_NOFOLLOW) /* for a new, empty file */

/* Can the copy be opened with the program's flags? Set-id bits have to be dropped afterwards, by name. */
static int keeps(const struct rl_walk *w, const struct rl_attr *a, int data)
{
    return w->want >= 0 && !(w->want & ~(KEPT_FLAGS | MEANINGLESS)) && (w->want & O_ACCMODE) != O_RDONLY &&
           !(a->mode & (S_ISUID | S_ISGID)) && (!data || !(w->want & O_APPEND) || a->size <= RL_BLOCK);
}

static long open_source(struct rl_walk *w)
{
    if (w->hit.what == RL_IN_VIEW)
        return rl_view_openfd(w, w->hit.view, w->s->real, O_RDONLY | O_CLOEXEC);
    long r = rl_object_real(w, w->s->real);
    return r < 0 ? r : rl_reserve_open(w->s->real, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
}

/* The whole content. Rule 2. */
static long copy_content(struct rl_walk *w, const struct rl_attr *a, long to)
{
    u32 id = w->hit.view;
    int sendable = w->hit.what == RL_IN_VIEW && !w->deep;
    long from = -ENOENT, r = sendable ? rl_content_write(id, a->size, to, 0) : RL_MISS;
    if (r == RL_MISS && sendable) {
        from = rl_view_open_there(w, id, w->s->real, O_RDONLY | O_CLOEXEC);
        if (from == -ENOENT || from == -ENOTDIR)
            r = rl_content_write(id, a->size, to, 1);
    }
    if (r != RL_MISS)
        return r;
    if (from < 0)
        from = open_source(w);
    if (from < 0)
        return from;
    r = copy_data(from, to, (i64)a->size);
    k_close(from);
    return r;
}

/* The copy's descriptor is opened first: the program's is the lowest. */
long rl_copy_file(struct rl_walk *w, const struct rl_attr *a, int data, const char *temp, const i64 *t,
                  const char *text, u32 n)
{
    u32 mode = rl_written_mode(a->mode);
    long to = -EMFILE, r = 0;
    int kept = keeps(w, a, data);
    if (kept)
        to = k_open(temp, (w->want & KEPT_FLAGS) | O_CREAT | O_EXCL, mode & 07777);
    if (to == -EMFILE) {
        kept = 0;
        to = rl_reserve_open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 07777);
    }
    if (to < 0)
        return to;
    if (data)
        r = copy_content(w, a, to);
    /* A copy without content is about to be truncated: that is a change, and no other call records it. */
    i64 times[4] = {t[0], t[1], t[2], t[3]};
    if (!data && (a->size || (w->want >= 0 && (w->want & O_TRUNC))))
        times[3] = UTIME_NOW_;
    if (r >= 0)
        r = k_utimens(to, NULL, times, 0);
    if (r == -EOPNOTSUPP) /* of the times */
        r = 0;
    if (r >= 0)
        r = rl_record_put(rl_vhash(w), to, temp, mode, text, n);
    if (r >= 0 && kept)
        w->fd = (i32)to;
    else
        k_close(to);
    return r;
}
