/* chmod of a file of the host, in a bind. Set-id bits are never set there (kernel.h): the other bits are set, as the
 * kernel does when the caller may not set the group's bit.
 *
 * An existing set-group-id bit of a directory is the user's, or was inherited from the parent, and stays: a chmod
 * without the bit would clear it, so the other bits are changed through the access ACL, which leaves it alone.
 */
#include "../internal.h"

#define ACL "system.posix_acl_access"
#define ACL_VERSION 2
#define ACL_USER 0x01
#define ACL_GROUP 0x04
#define ACL_MASK 0x10
#define ACL_OTHER 0x20

struct acl_entry {
    u16 tag, bits;
    u32 id;
};
struct acl {
    u32 version;
    struct acl_entry entry[];
};

static u64 fill(struct acl *acl, u64 entries, u32 mode)
{
    u16 group = ACL_GROUP;
    for (u64 i = 0; i < entries; i++)
        if (acl->entry[i].tag == ACL_MASK)
            group = ACL_MASK;
    for (u64 i = 0; i < entries; i++) {
        struct acl_entry *e = &acl->entry[i];
        if (e->tag == ACL_USER)
            e->bits = mode >> 6 & 7;
        else if (e->tag == group)
            e->bits = mode >> 3 & 7;
        else if (e->tag == ACL_OTHER)
            e->bits = mode & 7;
    }
    return sizeof *acl + entries * sizeof acl->entry[0];
}

/* `room`: RL_PATH_MAX bytes. -EPERM on a file system without ACLs. */
static long change_the_others(const char *real, u32 now, u32 mode, char *room)
{
    static const u16 least[] = {ACL_USER, ACL_GROUP, ACL_OTHER};
    struct acl *acl = (struct acl *)room;
    if (((now ^ mode) & 01777) == 0)
        return 0;
    if ((now ^ mode) & S_ISVTX)
        return -EPERM;
    long n = k4(__NR_getxattr, (long)real, (long)ACL, (long)room, RL_PATH_MAX);
    u64 entries = n > (long)sizeof *acl ? ((u64)n - sizeof *acl) / sizeof acl->entry[0] : 0;
    if (n == -ENODATA) {
        acl->version = ACL_VERSION;
        for (entries = 0; entries < 3; entries++)
            acl->entry[entries] = (struct acl_entry){least[entries], 0, ~0u};
    }
    if (!entries || acl->version != ACL_VERSION)
        return -EPERM;
    long r = rl_sys(__NR_setxattr, (long)real, (long)ACL, (long)room, (long)fill(acl, entries, mode), 0, 0);
    return r == -EOPNOTSUPP ? -EPERM : r;
}

long rl_chmod_bind(const char *real, u32 now, u32 mode, char *room)
{
    if (rl_isdir(now) && (now & mode & S_ISGID))
        return change_the_others(real, now, mode, room);
    return k_chmod(real, mode);
}
