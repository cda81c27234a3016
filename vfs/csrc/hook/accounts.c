/* Users and groups of the container: its /etc/passwd and /etc/group. libc's own functions query the machine's services.
 *
 * An image without such a file has no users, as in the trap engine.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "hook.h"

#define ROW_BYTES (1 << 16)

struct wanted {
    const char *name; /* NULL: by number */
    unsigned id;
};

/* One look-up in a file of rows: 0 and *found, 0 and NULL, or an errno. ERANGE: `room` is too small. */
#define FIND(type, prefix, file, next)                                                                                \
    static int find_##type(struct wanted w, struct type *row, char *text, size_t room, struct type **found)           \
    {                                                                                                                 \
        FILE *f = rl_h_fopen(file, "re");                                                                             \
        int r;                                                                                                        \
        *found = NULL;                                                                                                \
        if (!f)                                                                                                       \
            return errno == ENOENT || errno == ENOTDIR ? 0 : errno;                                                   \
        while ((r = next(f, row, text, room, found)) == 0)                                                            \
            if (w.name ? !strcmp(w.name, row->prefix##_name) : w.id == (unsigned)row->ID_OF_##prefix)                 \
                break;                                                                                                \
        fclose(f);                                                                                                    \
        if (r)                                                                                                        \
            *found = NULL;                                                                                            \
        return r == ENOENT ? 0 : r;                                                                                   \
    }
#define ID_OF_pw pw_uid
#define ID_OF_gr gr_gid
FIND(passwd, pw, "/etc/passwd", fgetpwent_r)
FIND(group, gr, "/etc/group", fgetgrent_r)

/* The four forms of a look-up, and the enumeration. */
#define LOOKUPS(type, NAME, byname, byid, set, get, end, file, next)                                                  \
    static __thread struct type NAME##_row;                                                                           \
    static __thread char *NAME##_text;                                                                                \
    static FILE *NAME##_file; /* of the enumeration: no lock, as POSIX says of it */                                  \
    static char *NAME##_room(void)                                                                                    \
    {                                                                                                                 \
        return NAME##_text ? NAME##_text : (NAME##_text = malloc(ROW_BYTES));                                         \
    }                                                                                                                 \
    static struct type *NAME##_find(struct wanted w)                                                                  \
    {                                                                                                                 \
        struct type *found;                                                                                           \
        int r = NAME##_room() ? find_##type(w, &NAME##_row, NAME##_text, ROW_BYTES, &found) : ENOMEM;                 \
        if (r) {                                                                                                      \
            errno = r;                                                                                                \
            return NULL;                                                                                              \
        }                                                                                                             \
        return found;                                                                                                 \
    }                                                                                                                 \
    struct type *rl_h_##byname(const char *name)                                                                      \
    {                                                                                                                 \
        RL_INSIDE(here);                                                                                              \
        return here && name ? NAME##_find((struct wanted){name, 0}) : byname(name);                                   \
    }                                                                                                                 \
    struct type *rl_h_##byid(unsigned id)                                                                             \
    {                                                                                                                 \
        RL_INSIDE(here);                                                                                              \
        return here ? NAME##_find((struct wanted){NULL, id}) : byid(id);                                              \
    }                                                                                                                 \
    int rl_h_##byname##_r(const char *name, struct type *row, char *text, size_t room, struct type **found)           \
    {                                                                                                                 \
        RL_INSIDE(here);                                                                                              \
        return here && name ? find_##type((struct wanted){name, 0}, row, text, room, found)                           \
                            : byname##_r(name, row, text, room, found);                                               \
    }                                                                                                                 \
    int rl_h_##byid##_r(unsigned id, struct type *row, char *text, size_t room, struct type **found)                  \
    {                                                                                                                 \
        RL_INSIDE(here);                                                                                              \
        return here ? find_##type((struct wanted){NULL, id}, row, text, room, found)                                  \
                    : byid##_r(id, row, text, room, found);                                                           \
    }                                                                                                                 \
    static void NAME##_close(void)                                                                                    \
    {                                                                                                                 \
        if (NAME##_file)                                                                                              \
            fclose(NAME##_file);                                                                                      \
        NAME##_file = NULL;                                                                                           \
    }                                                                                                                 \
    void rl_h_##set(void)                                                                                             \
    {                                                                                                                 \
        RL_INSIDE(here);                                                                                              \
        NAME##_close();                                                                                               \
        if (!here)                                                                                                    \
            set();                                                                                                    \
    }                                                                                                                 \
    void rl_h_##end(void)                                                                                             \
    {                                                                                                                 \
        RL_INSIDE(here);                                                                                              \
        NAME##_close();                                                                                               \
        if (!here)                                                                                                    \
            end();                                                                                                    \
    }                                                                                                                 \
    struct type *rl_h_##get(void)                                                                                     \
    {                                                                                                                 \
        RL_INSIDE(here);                                                                                              \
        struct type *found;                                                                                           \
        if (!here)                                                                                                    \
            return get();                                                                                             \
        if (!NAME##_file && !(NAME##_file = rl_h_fopen(file, "re")))                                                  \
            return NULL;                                                                                              \
        if (!NAME##_room() || next(NAME##_file, &NAME##_row, NAME##_text, ROW_BYTES, &found))                         \
            return NULL;                                                                                              \
        return found;                                                                                                 \
    }

LOOKUPS(passwd, user, getpwnam, getpwuid, setpwent, getpwent, endpwent, "/etc/passwd", fgetpwent_r)
LOOKUPS(group, group, getgrnam, getgrgid, setgrent, getgrent, endgrent, "/etc/group", fgetgrent_r)

int rl_h_getgrouplist(const char *name, gid_t first, gid_t *groups, int *count)
{
    RL_INSIDE(here);
    int room = count ? *count : 0, n = 0;
    struct group row, *found;
    char *text;
    FILE *f;

    if (!here || !name || !count)
        return getgrouplist(name, first, groups, count);
    text = malloc(ROW_BYTES);
    f = text ? rl_h_fopen("/etc/group", "re") : NULL;
    if (n++ < room)
        groups[0] = first;
    while (f && fgetgrent_r(f, &row, text, ROW_BYTES, &found) == 0)
        for (char **member = row.gr_mem; row.gr_gid != first && *member; member++)
            if (!strcmp(*member, name)) {
                if (n < room)
                    groups[n] = row.gr_gid;
                n++;
                break;
            }
    if (f)
        fclose(f);
    free(text);
    *count = n;
    return n <= room ? n : -1;
}
