/* Text and memory without a C library. */
#include "engine.h"

char *rl_put_text(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    *to = 0;
    return to;
}

char *rl_put_number(char *to, u64 value, u32 base)
{
    char digits[65];
    int n = 0;

    do
        digits[n++] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    while (n)
        *to++ = digits[--n];
    *to = 0;
    return to;
}

const char *rl_get_number(const char *text, u32 base, u64 *out)
{
    const char *p = text;
    u64 value = 0;

    for (;; p++) {
        u32 digit = *p >= '0' && *p <= '9'   ? (u32)(*p - '0')
                    : *p >= 'a' && *p <= 'f' ? (u32)(*p - 'a') + 10
                                             : 99;
        if (digit >= base)
            break;
        value = value * base + digit;
    }
    *out = value;
    return p == text ? NULL : p;
}

int rl_text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

int rl_text_starts(const char *text, const char *start)
{
    while (*start)
        if (*text++ != *start++)
            return 0;
    return 1;
}
