/* Real files of view entries, and the client of the hydrator (docs/format.md section 8). */
#include "../internal.h"

#define AF_UNIX_ 1
#define SOCK_STREAM_ 1
#define SOCK_CLOEXEC_ O_CLOEXEC
#define MSG_NOSIGNAL_ 0x4000
#define RL_HYDRATE_TRIES 32

struct unix_name {
    u16 family;
    char path[108];
};

static long connect_to(long fd, const char *path)
{
    struct unix_name a;
    memset(&a, 0, sizeof a);
    a.family = AF_UNIX_;
    u32 n = (u32)strlen(path);
    long dir = -1, r;
    if (n < sizeof a.path) {
        memcpy(a.path, path, n);
    } else { /* too long for an address: connect through a descriptor of its directory */
        char parent[RL_PATH_MAX];
        u32 at = n;
        while (at && path[at - 1] != '/')
            at--;
        if (n >= sizeof parent || n - at > 64)
            return -ENAMETOOLONG;
        memcpy(parent, path, at);
        parent[at] = 0;
        dir = k_open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        if (dir < 0)
            return dir;
        char *p = rl_put_u64(rl_put(a.path, "/proc/self/fd/"), (u64)dir, 10);
        *p++ = '/';
        rl_put(p, path + at);
    }
    do
        r = k4(__NR_connect, fd, (long)&a, sizeof a, 0);
    while (r == -EINTR || r == -EAGAIN);
    if (dir >= 0)
        k_close(dir);
    return r;
}

static long transfer(long nr, long fd, char *p, size_t n)
{
    while (n) {
        long r = rl_sys(nr, fd, (long)p, (long)n, MSG_NOSIGNAL_, 0, 0);
        if (r == -EINTR)
            continue;
        if (r <= 0)
            return r ? r : -ECONNRESET;
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

/* One request on its own connection. -ECONNRESET: the hydrator closed it before the answer, as it does with the most
 * silent client when all its places are taken (others may flood it); the caller should retry. */
static long ask(u32 magic, u32 id, i32 *answer, char *content, u32 size)
{
    long fd = k4(__NR_socket, AF_UNIX_, SOCK_STREAM_ | SOCK_CLOEXEC_, 0, 0);
    if (fd < 0)
        return fd;
    struct rl_hydrate_request request = {magic, id};
    long r = connect_to(fd, rl_launch_str(rl_launch->hydrator));
    if (r >= 0)
        r = transfer(__NR_sendto, fd, (char *)&request, sizeof request);
    if (r >= 0)
        r = transfer(__NR_recvfrom, fd, (char *)answer, sizeof *answer);
    if (r >= 0 && content && *answer > 0)
        r = (u32)*answer > size ? -EIO : transfer(__NR_recvfrom, fd, content, (size_t)*answer);
    k_close(fd);
    return r;
}

long (*rl_hydrate_here)(u32 id);

long rl_hydrate(u32 id)
{
    long here = rl_hydrate_here ? rl_hydrate_here(id) : RL_HYDRATE_ELSEWHERE;
    if (here != RL_HYDRATE_ELSEWHERE)
        return here;
    if (!rl_launch->hydrator.len)
        return -EIO;
    i32 answer = -EIO;
    long r = -EIO;
    for (u32 tries = 0; tries < RL_HYDRATE_TRIES; tries++) {
        r = ask(RL_HYDRATE_MAGIC, id, &answer, NULL, 0);
        if (r != -ECONNRESET && r != -EPIPE)
            break;
    }
    /* A missing hydrator is an I/O error to the program: its file exists, but its content is not available. */
    if (r < 0)
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : -EIO;
    return answer;
}

long rl_hydrator_content(u32 id, char *out, u32 size)
{
    i32 answer = -EIO;
    if (rl_hydrate_here || !rl_launch->hydrator.len)
        return 0;
    long r = ask(RL_HYDRATE_CONTENT, id, &answer, out, size);
    return r < 0 ? r : answer;
}

/* The path, longer than RL_REAL_MAX, of a hydrated file. */
static long far_real(struct rl_walk *w, u32 id, char *out)
{
    const struct rl_view_entry *e = rl_view_entry(id);
    const char *tree, *text = rl_view_text(e->source, e->source_len);
    char *path = rl_scratch_get(RL_DEEP_MAX);
    if (!path)
        return -ENOMEM;
    long n = e->source_len ? (long)e->source_len : rl_view_path(id, path, RL_DEEP_MAX);
    rl_tree(e->layer, &tree);
    n = !text ? -EIO : n < 0 ? n : rl_far_join(w, tree, e->source_len ? text : path, (u32)n, out);
    rl_scratch_put(path, RL_DEEP_MAX);
    return n;
}

long rl_walk_view_real(struct rl_walk *w, u32 id, char *out)
{
    long n = rl_view_real(id, out, RL_REAL_MAX);
    if (n != -ENAMETOOLONG)
        return n;
    n = far_real(w, id, out);
    if (n != -ENOENT && n != -ENOTDIR)
        return n;
    n = rl_hydrate(id); /* its directory is not there yet */
    return n < 0 ? n : far_real(w, id, out);
}

long rl_view_open_there(struct rl_walk *w, u32 id, char *real, int flags)
{
    long r = rl_walk_view_real(w, id, real);
    return r < 0 ? r : k_open(real, flags, 0);
}

long rl_view_openfd(struct rl_walk *w, u32 id, char *real, int flags)
{
    long r = rl_view_open_there(w, id, real, flags);
    if (r != -ENOENT && r != -ENOTDIR)
        return r;
    r = rl_hydrate(id);
    return r < 0 ? r : k_open(real, flags, 0);
}

long rl_object_real(struct rl_walk *w, char *out)
{
    struct rl_hit *h = &w->hit;
    if (h->what == RL_IN_BIND)
        return rl_bind_real(w, &w->self, w->vlen, out);
    if (h->what == RL_IN_LAYER) {
        long own = h->layer == 0 ? rl_own_path(w, out) : 0;
        if (own)
            return own;
        long n = rl_layer_path(w, w->vlen ? &w->dir : &w->self, w->v, w->vlen, (u32)h->layer, out);
        if (!n) /* the host's own root */
            out[n++] = '/', out[n] = 0;
        return n;
    }
    if (h->what != RL_IN_VIEW)
        return -ENOENT;
    long n = rl_walk_view_real(w, h->view, out);
    if (n < 0 || k_exists(out))
        return n;
    long r = rl_hydrate(h->view);
    return r < 0 ? r : n;
}
