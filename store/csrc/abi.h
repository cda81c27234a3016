/* Constants and structures shared with Python (docs/format.md). A test keeps both sides equal.
 */
#ifndef RL_ABI_H
#define RL_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

#define RL_PATH_MAX 4096 /* bytes, NUL included: of a text that one call takes or returns */
#define RL_DEEP_MAX 65536 /* bytes, NUL included: of a path that is reached in several steps */
#define RL_NAME_MAX 255
#define RL_MAX_DIRS 32 /* directory layers of one stack */
#define RL_MAX_BINDS 256 /* of one container, with those of the system */
#define RL_MAX_LINKS 40

#define RL_FNV_START 0xcbf29ce484222325ull
#define RL_FNV_PRIME 0x100000001b3ull
#define RL_MIX 0x9e3779b97f4a7c15ull
#define RL_INO_BASE (1ull << 48) /* inode number shown for a view entry: base + ino */

/* A string inside a mapped file: offset from the start of the file, length without the NUL. */
struct rl_str {
    u32 off;
    u32 len;
};

/* docs/format.md §5 */
#define RL_VIEW_MAGIC "RLVIEW1\n"
#define RL_VIEW_ROOT 1u
struct rl_view_header {
    char magic[8];
    u32 version;
    u32 header_bytes;
    u64 file_bytes;
    u32 entries;
    u32 buckets;
    u64 off_buckets;
    u64 off_entries;
    u64 off_strings;
    u64 strings_bytes;
    u32 layers;
    u32 zero;
    u8 chain_id[32];
    u8 pad[24];
};
struct rl_view_entry {
    u32 parent;
    u32 name;
    u16 name_len;
    u8 type;
    u8 zero;
    u32 hash;
    u32 mode;
    u32 uid;
    u32 gid;
    u32 nlink;
    u64 size;
    i64 mtime_ns;
    u32 layer;
    u32 ino;
    u32 first_child;
    u32 children;
    u32 link;
    u32 link_len;
    u32 source;
    u32 source_len;
    u32 xattrs;
    u32 xattrs_len;
    u32 rdev_major;
    u32 rdev_minor;
};
_Static_assert(sizeof(struct rl_view_header) == 128, "docs/format.md section 5");
_Static_assert(sizeof(struct rl_view_entry) == 96, "docs/format.md section 5");

/* docs/format.md §5, "Delta": what layers on top of a stack change in the view of that stack */
#define RL_DELTA_MAGIC "RLDELTA1"
#define RL_DELTA_BASE ".base" /* after the name of a delta: its base */
struct rl_delta_header {
    char magic[8];
    u32 version;
    u32 header_bytes;
    u64 file_bytes;
    u32 base_entries; /* the id of the first added entry */
    u32 buckets;      /* of the added entries */
    u64 off_buckets;
    u64 off_entries; /* the changed entries, by id, then the added ones */
    u64 off_strings;
    u64 strings_bytes;
    u32 layers;
    u32 changed;
    u8 chain_id[32];
    u32 added;
    u32 base_layers;
    u64 off_marks;
    u64 base_bytes;
    u64 base_strings; /* the string offset of the delta's first string */
    u8 base_chain_id[32];
    u8 pad[24];
};
struct rl_delta_mark { /* of 32 entries of the base */
    u32 changed;
    u32 hidden;
    u32 before; /* changed entries with smaller ids */
};
_Static_assert(sizeof(struct rl_delta_header) == 192, "docs/format.md section 5");
_Static_assert(sizeof(struct rl_delta_mark) == 12, "docs/format.md section 5");

/* docs/format.md §6 */
#define RL_WH ".wh."
#define RL_WH_OPAQUE ".wh..wh..opq"
#define RL_WH_RECORD ".wh..wh.m."
#define RL_WH_RECORD_LONG ".wh..wh.n."
#define RL_WH_LONG ".wh..wh.w."
#define RL_WH_TEMP ".wh..wh.t."
#define RL_WH_NEW 'n' /* the last letter of the temporary name of a new directory (inotify) */
#define RL_WH_QUIET 'q' /* of a name that shows where the engine changes an attribute of a directory (inotify) */
#define RL_WH_LINKED ".wh..wh.l."
#define RL_RECORD_NOTHING "-" /* the text of a linked record without fields */
#define RL_XATTR_OWN "user.rootlay." /* names that no program sees */
#define RL_XATTR_RECORD RL_XATTR_OWN "record"
#define RL_WH_MAX_NAME 251     /* longest NAME that fits after RL_WH */
#define RL_RECORD_MAX_NAME 244 /* longest NAME that fits after RL_WH_RECORD */

/* docs/format.md §7 */
#define RL_BLOOM_MAGIC "RLBLOOM1"
#define RL_BLOOM_LOG2 23
#define RL_BLOOM_HEADER 64
#define RL_BLOOM_VERSION 5
#define RL_BLOOM_COUNTING 2u /* versions from this on have the counts of changes */
#define RL_BLOOM_SECTIONS 3u /* … and those of the lock's holders */
#define RL_BLOOM_NEAR 4u     /* … and a path's first bit is among the first 2^RL_BLOOM_NEAR_LOG2 */
#define RL_BLOOM_NEAR_LOG2 17
#define RL_BLOOM_MOVES 5u    /* … and the paths that redirects name */
#define RL_BLOOM_COUNTS 16
#define RL_BLOOM_REMOVALS 48 /* counts: removals noted in the removal map, written through; times set by programs */
#define RL_BLOOM_RECORD 0x00 /* extra byte of the key: a record of this path */
#define RL_BLOOM_OPAQUE 0x01 /* extra byte of the key: this directory is opaque */
#define RL_BLOOM_SHARED 0x02 /* set for the root: some record may be that of names whose bits are clear */
#define RL_BLOOM_STARTED 0x04 /* of an inode number: a program of this file was started */
#define RL_BLOOM_WATCHED 0x05 /* a process watches this directory; set for the root: some process watches one */
#define RL_BLOOM_OPENED 0x06  /* … for opens, reads and closes, too */
#define RL_BLOOM_MOVED 0x03  /* a redirect names this path; set for the root: some redirect exists */

/* docs/format.md §7a */
#define RL_REMOVED_MAGIC "RLGONE01"
#define RL_REMOVED_VERSION 1u
struct rl_removed_header {
    char magic[8];
    u32 version;
    u32 entries; /* as in the view's header */
    u8 chain_id[32];
    u8 base[16]; /* of a delta: the first bytes of the chain ID of its base. Its entries have other ids than a whole view's */
};
_Static_assert(sizeof(struct rl_removed_header) == 64, "docs/format.md section 7a");

/* docs/format.md §8 */
#define RL_LAUNCH_MAGIC "RLLAUNC1"
#define RL_LAUNCH_PATCH 1u
#define RL_LAUNCH_TRACE 2u
#define RL_LAUNCH_UPPER 4u
#define RL_LAUNCH_CONFINE 256u  /* by Landlock, if the kernel has it */
#define RL_LAUNCH_REQUIRE 512u  /* do not start without confinement */
#define RL_LAUNCH_UNSCOPED 1024u /* may signal processes of other sessions */
#define RL_LAUNCH_NO_NETWORK 2048u
#define RL_LAUNCH_INTERNAL 4096u /* loopback is the container's alone */
#define RL_LAUNCH_PLAIN_NAMES 8192u /* abstract UNIX names are the machine's, in spite of an address */
#define RL_DIR_UPPER 1u
#define RL_DIR_MARKS 2u /* .wh. names and records are honoured */
#define RL_DIR_ATTRS 8u  /* records of regular files and directories are attributes */
#define RL_DIR_OWNER 16u /* the default owner is given; else it is map_uid, map_gid */
#define RL_DIR_WAYS 4u  /* only directories that lead to binds and that no other layer has, except the root */
#define RL_BIND_RO 1u
#define RL_BIND_PROC 2u
#define RL_BIND_OWNER 4u /* owners shown as the caller */
#define RL_BIND_GIVEN 8u /* the mount belongs to uid and gid, and its mode bits control access */
#define RL_BIND_MODE 16u /* with RL_BIND_GIVEN: the mode bits are given */
#define RL_BIND_SHOWN 32u /* reachable by its full path, whatever leads to it */
#define RL_BIND_UNLISTED 64u /* hidden from listings */
#define RL_BIND_RECORDS 128u /* instead: a volume's owners and modes are recorded, and control access */
#define RL_BIND_LINK 256u /* a symbolic link is shown; the host path is its target */
struct rl_launch {
    char magic[8];
    u32 version;
    u32 file_bytes;
    u32 flags;
    u32 dirs;
    u32 off_dirs;
    u32 view_layers;
    u32 off_view_layers;
    u32 binds;
    u32 off_binds;
    struct rl_str view;
    struct rl_str engine;
    struct rl_str hydrator;
    struct rl_str lock;
    u32 host_uid, host_gid;
    u32 map_uid, map_gid;
    u32 zero;
    u64 st_dev;
    struct rl_str trace;
    struct rl_str container_id;
    struct rl_str hostname;
    u32 ports;
    u32 off_ports;
    u64 view_offset; /* the view's offset in its file, and its length; 0: the whole file */
    u64 view_bytes;
    u8 address[4]; /* the container's own, 0: it has none */
    u8 gateway[4]; /* means the machine's 127.0.0.1 */
    struct rl_str addresses; /* the directory of the files of addresses, docs/format.md section 14 */
    struct rl_str table; /* a file in that directory, by another name, that is writable: a later address's */
    u8 pad[72];
    struct rl_str alias;
};
struct rl_launch_dir {
    struct rl_str path;
    struct rl_str bloom;
    u32 flags;
    u32 uid, gid; /* with RL_DIR_OWNER */
    u32 pad;
};
struct rl_launch_bind {
    struct rl_str vpath;
    struct rl_str host;
    u32 flags;
    u32 uid, gid; /* with RL_BIND_GIVEN */
    u32 mode; /* with RL_BIND_MODE */
};
#define RL_PORT_TCP 6u
#define RL_PORT_UDP 17u
struct rl_launch_port {
    u32 protocol;
    u32 inside, outside;
    u32 family; /* of addr: 4, 6, or 0 for every address */
    u8 addr[16];
};
_Static_assert(sizeof(struct rl_launch) == 256, "docs/format.md section 8");
_Static_assert(sizeof(struct rl_launch_dir) == 32, "docs/format.md section 8");
_Static_assert(sizeof(struct rl_launch_bind) == 32, "docs/format.md section 8");
_Static_assert(sizeof(struct rl_launch_port) == 32, "docs/format.md section 8");

/* docs/format.md section 14: the file of an address. The table is [protocol][port], TCP first. */
#define RL_ADDRESS_MAGIC "RLADDR01"
#define RL_ADDRESS_TABLE 4096u
#define RL_FORM_ANY 1u      /* 0.0.0.0; in the second form :: of a socket for IPv6 alone */
#define RL_FORM_LOOPBACK 2u /* 127.0.0.1; in the second form ::1 */
#define RL_FORM_OWN 3u
#define RL_FORM_DUAL 4u /* :: of a socket for both */
#define RL_FORM_PUBLISHED 0x80u
struct rl_port_entry {
    u8 form, form6; /* how the port is bound; 0: it is not */
    u16 real;       /* the port that it has outside */
    u16 inside;     /* of a port outside: the one inside; 0: the same */
    u16 pad;
    u8 at[4]; /* the address where it is published, 0: every address, or none */
};
_Static_assert(sizeof(struct rl_port_entry) == 12, "docs/format.md section 14");

#define RL_HYDRATE_MAGIC 0x31594852u
#define RL_HYDRATE_CONTENT 0x31434852u /* the answer is the file's content, if it is small */
#define RL_CONTENT_BYTES (128u << 10)  /* at most in one answer, with the items' heads */
#define RL_CONTENT_FILE_BYTES (32u << 10)
struct rl_hydrate_request {
    u32 magic;
    u32 entry;
};
struct rl_content_item { /* before the bytes */
    u32 entry;
    u32 bytes;
};

#endif
