/* Texts and memory, without a libc. */
#include "monitor.h"

size_t length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

int begins(const char *s, const char *prefix)
{
    while (*prefix)
        if (*s++ != *prefix++)
            return 0;
    return 1;
}

char *put(char *out, const char *text)
{
    while ((*out = *text++))
        out++;
    return out;
}

char *put_number(char *out, u64 v)
{
    char digits[24];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *out++ = digits[--n];
    *out = 0;
    return out;
}

u64 number(const char *s, u32 base)
{
    u64 v = 0;
    for (;; s++) {
        u32 digit = *s >= '0' && *s <= '9' ? (u32)(*s - '0') : *s >= 'a' && *s <= 'f' ? (u32)(*s - 'a') + 10 : 16;
        if (digit >= base)
            return v;
        v = v * base + digit;
    }
}

void *memcpy(void *d, const void *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((char *)d)[i] = ((const char *)s)[i];
    return d;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *p = a, *q = b;
    for (size_t i = 0; i < n; i++)
        if (p[i] != q[i])
            return p[i] < q[i] ? -1 : 1;
    return 0;
}

void *memset(void *d, int c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((char *)d)[i] = (char)c;
    return d;
}
