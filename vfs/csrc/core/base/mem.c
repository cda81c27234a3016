/* Bytes, strings and hashes, without a libc.
 *
 * gcc would turn these loops into calls of themselves; the pragma prevents it. clang recognizes the function names. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif
#include "../internal.h"

void *memcpy(void *d, const void *s, size_t n)
{
    u8 *a = d;
    const u8 *b = s;
    for (; n >= 8; n -= 8, a += 8, b += 8) {
        u64 word; /* both architectures load unaligned words */
        __builtin_memcpy(&word, b, 8);
        __builtin_memcpy(a, &word, 8);
    }
    while (n--)
        *a++ = *b++;
    return d;
}

void *memmove(void *d, const void *s, size_t n)
{
    u8 *a = d;
    const u8 *b = s;
    if (a <= b || a >= b + n) {
        for (size_t i = 0; i < n; i++)
            a[i] = b[i];
    } else {
        while (n--)
            a[n] = b[n];
    }
    return d;
}

void *memset(void *d, int c, size_t n)
{
    u8 *a = d;
    u64 word = (u8)c * 0x0101010101010101ull;
    for (; n >= 8; n -= 8, a += 8)
        __builtin_memcpy(a, &word, 8);
    while (n--)
        *a++ = (u8)c;
    return d;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (u64 p, q; n >= 8; n -= 8, x += 8, y += 8) {
        __builtin_memcpy(&p, x, 8);
        __builtin_memcpy(&q, y, 8);
        if (p != q)
            break;
    }
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *s)
{
    const char *p = s;
    while (*p)
        p++;
    return (size_t)(p - s);
}

u64 rl_fnv(u64 h, const char *s, u32 n)
{
    for (u32 i = 0; i < n; i++)
        h = rl_fnv_byte(h, s[i]);
    return h;
}

int rl_same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

int rl_begins(const char *s, const char *prefix)
{
    while (*prefix)
        if (*s++ != *prefix++)
            return 0;
    return 1;
}

char *rl_put(char *out, const char *text)
{
    while (*text)
        *out++ = *text++;
    *out = 0;
    return out;
}

char *rl_put_u64(char *out, u64 v, int base)
{
    char t[24];
    int n = 0;
    do {
        u32 digit = (u32)(v % (u32)base);
        t[n++] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        v /= (u32)base;
    } while (v);
    while (n)
        *out++ = t[--n];
    *out = 0;
    return out;
}

/* Larger than every base when it is not a digit. */
static u32 digit(char c)
{
    return c >= 'a' ? (u32)(c - 'a') + 10 : c > '9' ? ~0u : (u32)(c - '0');
}

int rl_number(const char **s, u32 base, u64 *v)
{
    const char *p = *s;
    u64 n = 0;
    for (; digit(*p) < base; p++) {
        if (n > (~0ull - base) / base)
            return 0;
        n = n * base + digit(*p);
    }
    if (p == *s)
        return 0;
    *s = p;
    *v = n;
    return 1;
}

long rl_join(char *out, size_t size, const char *a, u32 an, const char *b, u32 bn, const char *c, u32 cn)
{
    if ((u64)an + bn + cn + 1 > size)
        return -ENAMETOOLONG;
    memcpy(out, a, an);
    memcpy(out + an, b, bn);
    memcpy(out + an + bn, c, cn);
    out[an + bn + cn] = 0;
    return (long)(an + bn + cn);
}
