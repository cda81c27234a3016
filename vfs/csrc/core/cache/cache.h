/* Caches that persist between calls, and the fast path that uses them.
 *
 * For the files of the core alone. */
#ifndef RL_CACHE_H
#define RL_CACHE_H

#include "../walk/walk.h"

/* ---- fdcache.c ------------------------------------------------------------------------------------ */

void rl_fdcache_init(void);
/* A descriptor of a layer's file that nothing covers; sx: its real attributes. RL_MISS: use the slow path. */
long rl_fdcache_file(int fd, const struct statx *sx, struct rl_attr *out);
u32 rl_fdcache_entry(const struct statx *sx); /* likewise the entry, without a system call; 0: use the slow path */
void rl_fdcache_asked(void);                  /* a program has read the attributes of a file that it opened */
/* `fd` is a file with this record that was just made in the upper, by a walk that began at rl_quiet(). */
void rl_fdcache_created(int fd, u32 moment, const struct rl_record *rec);
/* `fd` was just opened by the name of this entry, which is at its own path (of the FNV state `hash`) in its layer's
 * tree: cheaper than reading the name later. `clear`: as in rl_base, at the moment `now`. */
void rl_fdcache_opened(int fd, u32 id, int directory, u64 hash, int clear, u32 now);
enum rl_base_kind {
    RL_BASE_OTHER, /* not known without a walk */
    RL_BASE_VIEW,  /* from the view, whatever covers it */
    RL_BASE_UPPER
};
/* A descriptor's directory, as far as it is known without a walk. */
struct rl_base {
    enum rl_base_kind kind;
    u32 id;    /* RL_BASE_VIEW: its entry */
    u32 tree;  /* RL_BASE_VIEW: the layer whose tree it is in */
    int deep;  /* RL_BASE_OTHER: chain.c knows it */
    int clear; /* 1: names in it may be looked up from here (fdcache.c, rule 5) */
    int plain; /* RL_BASE_UPPER: dircache.c, rule 6 */
    u64 hash;  /* FNV state over its path */
    u32 len;   /* RL_BASE_UPPER: of its path; RL_NO_TEXT: that is not in out[], only its hash is known */
};
#define RL_NO_TEXT (~0u)
/* b->kind. RL_BASE_UPPER: its visible path is in out[size], if it fits; RL_BASE_VIEW: rl_base_path() returns it. */
enum rl_base_kind rl_fdcache_directory(int fd, struct rl_base *b, char *out, size_t size);
/* The same, if its path is known. */
int rl_fdcache_named(int fd, struct rl_base *b, char *out, size_t size);
long rl_base_path(const struct rl_base *b, char *out, size_t size); /* length; valid unless it was renamed */
long rl_base_virtual(const struct rl_base *b, char *out, struct rl_origin *o); /* its name now; out[RL_PATH_MAX] */
void rl_base_clear(const struct rl_base *b, u32 now); /* it is clear since the moment `now` */
int rl_base_covered(const struct rl_base *b);         /* the upper may have a part in it by now */

/* ---- shownpath.c ---------------------------------------------------------------------------------- */

long rl_shown_stat(const char *path, int flags, struct rl_attr *out); /* below a shown path; RL_MISS: use the slow path */
long rl_shown_open(const char *path, int flags);                      /* likewise */

/* ---- dircache.c ------------------------------------------------------------------------------------ */

/* The counters in the upper's filter, or NULL; whether the lock's holders are counted there, too. */
void rl_dircache_init(void *header, int with_sections);
/* How many changes have begun. 0: data that is read now must not be cached. */
int rl_moment(u32 *now);
int rl_stirred(u32 since); /* a change has begun since then, or had not ended */
int rl_counted(void);      /* changes are counted */
int rl_dir_lasts(const struct rl_ctx *dir); /* 0: another walk cannot use it: rule 3, binds, redirects, an ACL */
void rl_dircache_add(u32 now, const struct rl_ctx *dir);
void rl_dircache_add_plain(u32 now, const struct rl_ctx *dir); /* rule 6 */
int rl_dircache_find(u64 hash, struct rl_ctx *out); /* 0: not cached */
/* The path of a descriptor's directory inside the upper. */
int rl_dir_plain(const struct rl_ctx *dir); /* rule 6 */
void rl_dircache_add_name(u32 now, const struct statx *sx, const char *path, u32 len, int plain);
/* 1: its hash and, if it fits, its path are in b->hash, b->len and out[size]. */
struct rl_base;
int rl_dircache_find_name(const struct statx *sx, struct rl_base *b, char *out, size_t size);
int rl_dircache_plain(const struct statx *sx); /* certainly the attributes of a plain directory (rule 6) */
/* Around every change of a directory that may be cached (dircache.c); the lock is held. */
void rl_changing(void);
void rl_changed(void);
void rl_changed_one(u64 hash);
/* Around everything that happens under the upper's lock. */
void rl_section_begin(void);
void rl_section_end(void);
/* How many holders the lock has had. 0: it is held now, or the holders are not counted. */
int rl_quiet(u32 *now);
u32 rl_sections(void); /* how often the lock was taken */
int rl_undisturbed(u32 since); /* the lock has not been taken since then */
int rl_first_since(u32 since); /* we hold the lock, and no other process has held it since then */

/* ---- cwdcache.c ----------------------------------------------------------------------------------- */

/* Device, inode, birth time and mode of the working directory, and that it is not removed, at rl_moment() `now`. */
long rl_cwd_statx(u32 now, struct statx *sx);
void rl_cwd_changing(void); /* before a chdir */
void rl_cwd_changed(void);  /* after it */

/* ---- attrcache.c ---------------------------------------------------------------------------------- */

void rl_attrcache_init(void);
/* The record of a file of the upper, as it was read when its lock had had `moment` holders (rl_quiet()). */
void rl_attrcache_add(u32 moment, const struct statx *sx, const struct rl_record *rec);
int rl_attrcache_find(const struct statx *sx, struct rl_record *rec);     /* 0: not cached */
int rl_attrcache_attr(const struct statx *sx, struct rl_attr *out); /* likewise; else the file's attributes */

#endif
