/* The hooks of libc's symbols. Old names of glibc (__xstat) and fortified ones (__open_2) as well: libraries were
 * compiled with them. On 64-bit machines the 64 forms are the same functions. */
#ifndef RL_HOOK_SYMBOLS_H
#define RL_HOOK_SYMBOLS_H

#define BOTH(X, name) X(#name, name) X(#name "64", name)

#define RL_SYMBOLS(X)                                                                                                 \
    BOTH(X, open) BOTH(X, openat) BOTH(X, creat) X("__open_2", open_2) X("__open64_2", open_2)                         \
    X("__openat_2", openat_2) X("__openat64_2", openat_2) BOTH(X, fopen) BOTH(X, freopen) BOTH(X, mkstemp)             \
    BOTH(X, mkostemp) BOTH(X, mkstemps) BOTH(X, mkostemps) X("mkdtemp", mkdtemp)                                       \
    BOTH(X, stat) BOTH(X, lstat) BOTH(X, fstat) BOTH(X, fstatat) X("statx", statx) X("__xstat", xstat)                 \
    X("__xstat64", xstat) X("__lxstat", lxstat) X("__lxstat64", lxstat) X("__fxstat", fxstat) X("__fxstat64", fxstat)  \
    X("__fxstatat", fxstatat) X("__fxstatat64", fxstatat) X("access", access) X("faccessat", faccessat)                \
    X("euidaccess", euidaccess) X("eaccess", euidaccess) X("readlink", readlink) X("readlinkat", readlinkat)           \
    X("__readlink_chk", readlink_chk) X("__readlinkat_chk", readlinkat_chk) X("chmod", chmod) X("fchmod", fchmod)      \
    X("lchmod", lchmod) X("fchmodat", fchmodat) X("chown", chown) X("lchown", lchown) X("fchown", fchown)              \
    X("fchownat", fchownat) X("utimensat", utimensat) X("futimens", futimens) X("utimes", utimes)                      \
    X("lutimes", lutimes) X("futimes", futimes) X("futimesat", futimesat) X("utime", utime) BOTH(X, truncate)          \
    BOTH(X, statfs) BOTH(X, statvfs) X("pathconf", pathconf) X("getxattr", getxattr) X("lgetxattr", lgetxattr)         \
    X("fgetxattr", fgetxattr) X("listxattr", listxattr) X("llistxattr", llistxattr) X("flistxattr", flistxattr)        \
    X("setxattr", setxattr) X("lsetxattr", lsetxattr) X("fsetxattr", fsetxattr) X("removexattr", removexattr)          \
    X("lremovexattr", lremovexattr) X("fremovexattr", fremovexattr)                                                    \
    X("mkdir", mkdir) X("mkdirat", mkdirat) X("mknod", mknod) X("mknodat", mknodat) X("mkfifo", mkfifo)                \
    X("mkfifoat", mkfifoat) X("__xmknod", xmknod) X("unlink", unlink) X("unlinkat", unlinkat) X("rmdir", rmdir)        \
    X("remove", remove) X("symlink", symlink) X("symlinkat", symlinkat) X("rename", rename) X("renameat", renameat)    \
    X("renameat2", renameat2) X("link", link) X("linkat", linkat)                                                      \
    X("opendir", opendir) X("fdopendir", fdopendir) BOTH(X, readdir) X("readdir_r", readdir_r) X("readdir64_r", readdir_r)    \
    X("closedir", closedir) X("dirfd", dirfd) X("telldir", telldir) X("seekdir", seekdir) X("rewinddir", rewinddir)    \
    X("chdir", chdir) X("fchdir", fchdir) X("getcwd", getcwd) X("__getcwd_chk", getcwd_chk)                            \
    X("get_current_dir_name", get_current_dir_name) X("realpath", realpath) X("__realpath_chk", realpath_chk)          \
    X("canonicalize_file_name", canonicalize_file_name)                                                                \
    BOTH(X, fcntl) X("close", close) X("close_range", close_range) X("umask", umask)                    \
    X("setreuid", setreuid) X("setregid", setregid) X("setgroups", setgroups)                                          \
    X("fork", fork) X("vfork", vfork) X("forkpty", forkpty) X("execve", execve) X("execv", execv)                      \
    X("execvp", execvp) X("execvpe", execvpe) X("execl", execl) X("execlp", execlp) X("execle", execle)                \
    X("fexecve", fexecve) X("posix_spawn", posix_spawn) X("posix_spawnp", posix_spawnp)                                \
    X("posix_spawn_file_actions_addopen", spawn_addopen) X("system", system) X("popen", popen) X("pclose", pclose)     \
    X("bind", bind) X("connect", connect) X("sendto", sendto) X("sendmsg", sendmsg) X("getsockname", getsockname)      \
    X("getpeername", getpeername) X("inotify_add_watch", inotify_add_watch) X("read", read) X("__read_chk", read_chk) X("getdents64", getdents64)                \
    X("name_to_handle_at", name_to_handle_at)                                                                         \
    BOTH(X, scandir) BOTH(X, glob)                      \
    X("getpwnam", getpwnam) X("getpwuid", getpwuid) X("getpwnam_r", getpwnam_r) X("getpwuid_r", getpwuid_r)            \
    X("setpwent", setpwent) X("getpwent", getpwent) X("endpwent", endpwent) X("getgrnam", getgrnam)                    \
    X("getgrgid", getgrgid) X("getgrnam_r", getgrnam_r) X("getgrgid_r", getgrgid_r) X("setgrent", setgrent)            \
    X("getgrent", getgrent) X("endgrent", endgrent) X("getgrouplist", getgrouplist)                                    \
    X("dlopen", dlopen) X("dlsym", dlsym) X("syscall", syscall)

#endif
