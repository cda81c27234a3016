/* Calls that change the upper.
 *
 * For the files of the core alone. */
#ifndef RL_CHANGE_H
#define RL_CHANGE_H

#include "../walk/walk.h"

/* ---- copyfile.c -------------------------------------------------------------------------------- */

/* Copy the walk's object, a regular file with the attributes `a`, to `temp`, with the times `t` and the record
 * text[0..n); data 0: empty. May set w->fd. Returns what must be next to the name in place of the record: n or 0. */
long rl_copy_file(struct rl_walk *w, const struct rl_attr *a, int data, const char *temp, const i64 *t,
                  const char *text, u32 n);

/* ---- whiteout.c, copyup.c ---------------------------------------------------------------------- */

/* -ESTALE, and the lock is held: directories were renamed since the walk began, or the upper has got the walk's. */
long rl_lock(struct rl_walk *w);
long rl_lock_now(struct rl_walk *w);  /* even if directories were renamed */
void rl_lock_free(struct rl_walk *w); /* without closing it */
void rl_unlock(struct rl_walk *w);
/* Of w->v; the parent is in the upper. 1: it existed. */
long rl_whiteout_make(struct rl_walk *w);
void rl_whiteout_drop(struct rl_walk *w);   /* of w->v */
int rl_whiteout_there(struct rl_walk *w);   /* of w->v: does the upper have it? */
long rl_opaque_make(const char *real, u32 len, u64 fnv);
long rl_mark_put(const char *mark, u32 len, const char *text); /* a symbolic link: made, or replaced */
int rl_unrecorded(const struct rl_walk *w); /* the upper certainly has no record of w->v */
int rl_unlinked(const struct rl_walk *w);   /* certainly none is next to w->v */
u64 rl_vhash(const struct rl_walk *w);
long rl_copyup_parents(struct rl_walk *w);
/* data 0: the content is not needed (it is about to be truncated). If w->fd is set afterwards, w->hit holds only the
 * place of the object, its mode and its owner. */
long rl_copyup(struct rl_walk *w, int data);

/* ---- hide.c, writethrough.c ---------------------------------------------------------------------- */

#define RL_HIDDEN_BEFORE 1 /* it was hidden already */
#define RL_HIDDEN_BIT 2    /* by its bit: the directory needs the time of the change */
/* The walk's last name shows the view's entry `id` (0: another lower object), as soon as the upper has no object of this
 * name: it never will. The parent is in the upper. again: the upper has an object. 0: a whiteout was made; RL_HIDDEN_*;
 * -errno. */
long rl_hide(struct rl_walk *w, u32 id, int again);
int rl_hides(const struct rl_walk *w, u32 id); /* would the entry's bit hide the walk's last name? */
void rl_hide_stamp(struct rl_walk *w, int again); /* the walk's directory, in the upper, has changed now. again: surely */
/* The lock is held. Where is the entry now that its bit is set? */
enum { RL_HIDDEN_NOT, RL_HIDDEN_HERE, RL_HIDDEN_OVER, RL_HIDDEN_GONE };
/* NOT: its directory has another name, where it may show; or another process has moved or removed a copy of it, and has
 * made the whiteout. HERE: at its own path. OVER: the upper has a copy of it, which was made meanwhile. GONE: its
 * directory was removed, or another object was made under its name. */
int rl_hidden_how(i32 lock, u32 id);
/* Make the whiteouts that bits of the removal map stand for. Takes the lock, unless `lock` is held. Entries below `moved`
 * (0: none) are now below `to`, no longer at their own paths. 0, or -errno: some are missing. */
long rl_write_through(i32 lock, u32 moved, const char *to);

/* ---- newfile.c ---------------------------------------------------------------------------------- */

struct rl_open;
long rl_open_new(struct rl_walk *w, unsigned mode, struct rl_open *o); /* the walk's name, which is missing */
/* Can the engine open it, when the walk has ended? */
static inline int rl_is_text(const char *real) { return *real != RL_AT && strlen(real) < RL_PATH_MAX; }
/* The flags, with access mode 3 turned into O_RDONLY (answer/open.c, rule 5). */
static inline int rl_readable(int flags) { return (flags & O_ACCMODE) == O_ACCMODE ? flags & ~O_ACCMODE : flags; }

/* ---- recordstore.c: `real` is the path of an object of the upper, whose path there has the FNV state `fnv` ---- */

/* Before the object at `temp` (or the file `fd`) gets its name: its record text[0..n), n 0 for none, becomes an
 * attribute. Returns what must be next to the name in its place: n or 0. */
long rl_record_put(u64 fnv, long fd, const char *temp, u32 mode, const char *text, u32 n);
/* The text of the link next to the name, into text[RL_PATH_MAX]. Length, 0: none. */
long rl_record_beside(struct rl_walk *w, u64 fnv, const char *real, u32 len, char *text);
/* Replace the link next to the name; n 0: remove it. */
long rl_record_link(struct rl_walk *w, u64 fnv, const char *real, u32 len, const char *text, u32 n);
/* Replace the record of the walk's object, which has the attributes `sx` and a record with the fields `had`. The lock is
 * held. */
long rl_record_store(struct rl_walk *w, const char *real, u32 len, const struct statx *sx, u32 had, const char *text,
                     u32 n);
void rl_record_moves(u64 from, u64 to); /* before an object gets another name, or one more */

/* ---- watch.c ------------------------------------------------------------------------------------ */

int rl_watched(const struct rl_ctx *dir);    /* may a process watch this directory? */
void rl_watched_moved(u64 dir);              /* a directory of the upper has got this path */
/* rl_record_store of a directory whose record is not the program's change. */
long rl_record_store_quietly(struct rl_walk *w, const char *real, u32 len, const struct statx *sx, u32 had,
                             const char *text, u32 n);
/* May a process watch opens in some directory? On the way of every open: the compiler computes the key. */
static inline int rl_opens_watched(void)
{
    return rl_layers[0].bloom && rl_bloom_test(&rl_layers[0], rl_bloom_key(RL_FNV_START, RL_BLOOM_OPENED));
}
long rl_copyup_opened(struct rl_walk *w);    /* the walk's file, if opens in its directory may be watched */
long rl_copyup_watched(struct rl_walk *w);   /* the walk's object, if its directory may be watched */

/* The owner and mode to give a new object in w->dir. */
struct rl_owner {
    u32 uid, gid, mode; /* mode: full st_mode, as the program sees it */
    u32 major, minor;
    int inherits; /* the directory's default ACL decides what the new object's ACLs are (aclchange.c) */
};
void rl_owner_fields(const struct rl_owner *o, u32 real_mode, struct rl_record *r);
long rl_drop_setid(struct rl_walk *w);
long rl_may_own(const struct rl_hit *h);
struct rl_keep {
    int ok;
    i64 times[4];
    char dir[RL_REAL_MAX];
};
void rl_keep_times(const char *real, u32 len, struct rl_keep *k, int restore);
u32 rl_real_mode(u32 mode);
u32 rl_written_mode(u32 mode);
void rl_owner_new(struct rl_walk *w, u32 mode, struct rl_owner *o);        /* before the umask, which is applied here */
void rl_owner_made(const struct rl_walk *w, u32 mode, struct rl_owner *o); /* of an object that has its mode already */
/* The record of an object that is to show as `o`, into w->s->text. Length, 0: none is needed. */
long rl_owner_text(struct rl_walk *w, const struct rl_owner *o, u32 real_mode);
int rl_owner_plain(const struct rl_owner *o, u32 real_mode);
/* All steps before a name is made: writable, allowed, parent in the upper, Bloom bits. */
long rl_create_begin(struct rl_walk *w, char *real);
int rl_create_simple(const struct rl_walk *w, const struct rl_owner *o);
/* Give the finished object at `temp` the walk's name, `real`. -EEXIST: it is taken; `temp` remains. */
long rl_publish(struct rl_walk *w, const char *temp, const char *real);

/* ---- recordupdate.c: changing the record of an object of the upper ---------------------------------------- */

struct rl_edit {
    struct rl_record rec;
    u64 fnv;
    u32 len;
    u64 linked; /* it is the linked record of all names */
    struct statx sx;
    char real[RL_REAL_MAX];
    char text[RL_PATH_MAX]; /* of the old record: rec's offsets point into it */
};
long rl_edit_begin(struct rl_walk *w, struct rl_edit *e); /* takes the lock */
long rl_edit_store(struct rl_walk *w, struct rl_edit *e, const char *xattrs, u32 n); /* keeps the lock */
long rl_edit_end(struct rl_walk *w, struct rl_edit *e, const char *xattrs, u32 n); /* and stamps */
void rl_edit_stamp(const struct rl_edit *e); /* the change's time, st_ctime, on the file */
void rl_edit_cancel(struct rl_walk *w);
/* Called before the real file of the walk's object is opened for writing: the file may lack the owner's write bit. */
long rl_make_writable(struct rl_walk *w);
void rl_make_writable_magic(const char *link, const struct statx *sx);
/* chmod of a bind's object, whose mode is `now`; `room` of RL_PATH_MAX bytes. */
long rl_chmod_bind(const char *real, u32 now, u32 mode, char *room);
/* The walk to a descriptor's object. 1: w holds it; 0: only the descriptor can be used; -EROFS: it is a lower file
 * without a name. */
long rl_by_fd(struct rl_walk *w, int fd);
/* -EBADF for an O_PATH descriptor: fchmod and the like reject it. */
long rl_only_named(int fd);
/* By path or, when it is NULL, by descriptor. Returns as rl_by_fd(). */
long rl_object(struct rl_walk *w, int dirfd, const char *path, int flags);

/* ---- remove.c ---------------------------------------------------------------------------------- */

/* 0, or -ENOTEMPTY; w->hit is lost. `marks`: its directories contain whiteouts or other marks. */
long rl_empty(struct rl_walk *w, int *marks);
/* A real directory with nothing but marks. -ENOTEMPTY: another process has made a file in it; it is opaque now. `fnv`: of
 * its path; 0: nobody else knows it. */
long rl_dir_remove(const char *real, u32 len, u64 fnv);
/* After that error: the walk's directory, which has lost its whiteouts, has no redirect any more either. */
void rl_dir_shut(struct rl_walk *w, const char *real, u32 len);
/* Bloom bits of everything in real/, whose bits were those of `from` so far, as if at fnv. */
long rl_bits_below(const char *real, u32 len, u64 from, u64 fnv);

/* ---- renamecheck.c ----------------------------------------------------------------------------- */

/* 0, -errno, or 1 if there is nothing to do: both names already are one file. */
long rl_rename_check(struct rl_walk *a, struct rl_walk *b, unsigned flags);

/* ---- xattr.c ---------------------------------------------------------------------------------- */

/* x fields for those of the lower object's attributes that a real file in the upper could not hold, into
 * out[RL_PATH_MAX]. Length. */
long rl_xattr_fields(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, char *out);
/* The other attributes, set on the real file itself. */
void rl_xattr_carry(struct rl_walk *w, const struct rl_ctx *dir, u32 len, const struct rl_hit *h, const char *real);

/* ---- aclchange.c --------------------------------------------------------------------------------- */

struct rl_xattr;
struct rl_acl;
/* The mode of a new object in w->dir, which has a default ACL; 1: it has ACLs, too. */
int rl_inherited_mode(struct rl_walk *w, u32 *mode);
/* The x fields of this ACL, for an object of the final mode, into out[RL_PATH_MAX]. Length. */
long rl_inherited_fields(struct rl_walk *w, u32 mode, char *out);
/* Like rl_record_format(), with these fields. */
long rl_inherited_record(struct rl_walk *w, const struct rl_owner *o, struct rl_record *rec, char *text);
/* The x fields of a record with the ACLs as they are after a chmod to `mode`, or after the change of one of them (no
 * value: it is removed), into out[RL_PATH_MAX]. */
long rl_acl_fields(const char *text, const struct rl_record *rec, u32 mode, const struct rl_xattr *acl, char *out, u32 *n);
/* May this attribute be set? 1: yes, *new is what to store, with *a as its room; 0: there is nothing to do. */
long rl_acl_check(const struct rl_hit *h, const struct rl_xattr *acl, struct rl_acl *a, struct rl_xattr *new);
void rl_acl_mode(const struct rl_acl *a, struct rl_xattr *new, struct rl_owner *o); /* its part in the mode */
/* Like rl_edit_store(), with the ACLs as they are after a chmod to `mode`, or after the change of one of them. */
long rl_acl_store(struct rl_walk *w, struct rl_edit *e, u32 mode, const struct rl_xattr *acl);
/* Set (or, without a value, remove) the attribute of an object outside binds. */
long rl_acl_set(struct rl_walk *w, const struct rl_xattr *acl);
/* setattr.c: show the object, which is in the upper, as `o`; with `acl`, one ACL is new. */
long rl_owner_apply(struct rl_walk *w, struct rl_owner *o, const struct rl_xattr *acl);
void rl_owner_now(const struct rl_walk *w, struct rl_owner *o);

/* ---- nameless.c --------------------------------------------------------------------------------- */

/* The record at the descriptor's name in /proc. Length of the text, which is put into text[RL_PATH_MAX]; or -ENODATA. */
long rl_nameless_record(const char *proc, char *text, struct rl_record *rec);
void rl_nameless_made(struct rl_walk *w, int fd, const struct rl_owner *o, u32 real_mode);
/* Its owner and mode as the program sees them. */
void rl_nameless_show(struct rl_scratch *s, int fd, const struct statx *sx, struct rl_attr *a);
/* fchmod, or fchown with mode ~0. RL_MISS: it is no such file. */
long rl_nameless_change(struct rl_walk *w, int fd, u32 mode, u32 uid, u32 gid);
/* Its ACL, as getxattr(2) gives it; set one. RL_MISS: it is no such file. */
long rl_nameless_acl(struct rl_walk *w, int fd, const char *name, void *value, size_t size);
long rl_nameless_acl_set(struct rl_walk *w, int fd, const struct rl_xattr *acl);
long rl_may_chown(const struct rl_hit *h, u32 uid, u32 gid); /* setattr.c */

/* ---- volume.c: objects of binds with RL_BIND_RECORDS ------------------------------------------------------ */

int rl_bind_records(i32 bind);
u32 rl_volume_mode(u32 mode); /* of the real file, for a mode that programs see */
/* Owner, mode and ACLs as programs see them, into h, whose sx is that of the real file. `top`: it is the mount itself.
 * Real paths are changed during the call. */
void rl_volume_show(const struct rl_bind *b, int top, char *real, struct rl_hit *h);
/* The object of a descriptor into h, and the path of its record into real[RL_REAL_MAX]. 0; RL_MISS: in no volume. */
long rl_volume_fd(int fd, char *real, struct rl_hit *h);
long rl_volume_change(char *real, const struct rl_hit *h, u32 mode, u32 uid, u32 gid); /* mode ~0: chown */
int rl_volume_default(struct rl_walk *w, struct rl_acl *out); /* the default ACL of w->dir; 0: none, or in no volume */
void rl_volume_made(struct rl_walk *w, char *real, const struct rl_owner *o); /* in w->dir; real is not w->s->real if o inherits */
long rl_volume_create(struct rl_walk *w, char *real, int flags, const struct rl_owner *o);   /* open(2) of a new file */
long rl_volume_nameless(struct rl_walk *w, char *real, int flags, const struct rl_owner *o); /* the same with O_TMPFILE */
long rl_volume_acl(char *real, const struct rl_hit *h, const char *name, void *value, size_t size); /* as getxattr(2) */
long rl_volume_acl_set(char *real, const struct rl_hit *h, const struct rl_xattr *acl);
void rl_volume_removed(char *real, u32 mode);
/* Rename, and move the records of what is neither file nor directory. `target`: the mode of what `to` was, or 0. */
long rl_volume_rename(char *from, u32 mode, char *to, u32 target, unsigned flags);

#endif
