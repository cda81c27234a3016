/* Rows of the table of calls (../table/syscalls.c) for calls that only this architecture has: none. */
